-- Imports, from the first row that was sent until some time after the last one was done.
CREATE TABLE imports (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    correlation_id TEXT NOT NULL,
    tenant TEXT NOT NULL, -- its name: whoever imports need not have users
    state INTEGER NOT NULL, -- 0 coming in, 1 waiting or under way, 2 done, 3 failed, 4 cancelled
    turn INTEGER, -- the place in the queue, from when the body was whole
    terms TEXT NOT NULL, -- JSON: for whom, and under what each row is judged
    group_key INTEGER, -- no reference: a group may be deleted before all are in it
    touched INTEGER NOT NULL, -- when rows came in or were done
    size INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    existed INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX imports_correlation_id ON imports (correlation_id);
CREATE INDEX imports_turn ON imports (state, turn);

-- The rows of an import that are still to be done, and some that are: many in one text.
CREATE TABLE import_parts (
    key INTEGER PRIMARY KEY,
    import_key INTEGER NOT NULL REFERENCES imports (key) ON DELETE CASCADE,
    first INTEGER NOT NULL, -- which row of the import the first one is, from 0
    users TEXT NOT NULL -- JSON, a line for each
) STRICT;
CREATE UNIQUE INDEX import_parts_first ON import_parts (import_key, first);

-- Rows that made no user, and why.
CREATE TABLE import_faults (
    import_key INTEGER NOT NULL REFERENCES imports (key) ON DELETE CASCADE,
    place INTEGER NOT NULL, -- which row of the import it is, from 0
    name TEXT, -- its externalId, else its userName
    existed INTEGER NOT NULL,
    kind TEXT, -- scimType
    detail TEXT NOT NULL,
    PRIMARY KEY (import_key, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_faults_name ON import_faults (name);
