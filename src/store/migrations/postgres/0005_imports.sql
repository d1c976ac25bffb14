-- The tables of sqlite/0005_imports.sql, where every column is described.
CREATE TABLE imports (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    correlation_id TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    state BIGINT NOT NULL,
    turn BIGINT,
    terms TEXT COLLATE "C" NOT NULL,
    group_key BIGINT,
    touched BIGINT NOT NULL,
    size BIGINT NOT NULL,
    imported BIGINT NOT NULL,
    existed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    CONSTRAINT imports_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX imports_correlation_id ON imports (correlation_id);
CREATE INDEX imports_turn ON imports (state, turn);

CREATE TABLE import_parts (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    import_key BIGINT NOT NULL REFERENCES imports (key) ON DELETE CASCADE,
    first BIGINT NOT NULL,
    users TEXT COLLATE "C" NOT NULL,
    CONSTRAINT import_parts_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX import_parts_first ON import_parts (import_key, first);

CREATE TABLE import_faults (
    import_key BIGINT NOT NULL REFERENCES imports (key) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    name TEXT COLLATE "C",
    existed BIGINT NOT NULL,
    kind TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL,
    CONSTRAINT import_faults_place PRIMARY KEY (import_key, place)
);
CREATE INDEX import_faults_name ON import_faults (name);
