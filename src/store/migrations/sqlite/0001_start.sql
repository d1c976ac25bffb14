-- Instants are milliseconds since 1970-01-01T00:00:00Z. A text that is compared is held folded in
-- two columns: its first 256 bytes at most, cut between characters, and, when it is longer than
-- that, the whole of it, else ''. A unique index is named after its table and its last column.

CREATE TABLE tenants (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    last_number INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tenants_name ON tenants (name);

-- AUTOINCREMENT: a key is never given again, as a cursor may still hold it.
CREATE TABLE users (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    user_type INTEGER NOT NULL, -- 0 FTRESS, 1 FTRESS_LDAP, 2 SCIM_FED: the order of the names
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    shown_modified INTEGER NOT NULL, -- the later of last_modified and the linked entry's
    user_name_absent INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    user_name_rest TEXT NOT NULL,
    owned_user_name TEXT, -- where the store owns the name: folded, whole
    owned_external_id TEXT,
    own TEXT NOT NULL, -- JSON
    view TEXT -- JSON; NULL where it is the same as own
) STRICT;
CREATE UNIQUE INDEX users_id ON users (tenant, id);
CREATE UNIQUE INDEX users_number ON users (tenant, number);
CREATE UNIQUE INDEX users_owned_user_name ON users (tenant, owned_user_name)
    WHERE owned_user_name IS NOT NULL;
CREATE UNIQUE INDEX users_owned_external_id ON users (tenant, owned_external_id)
    WHERE owned_external_id IS NOT NULL;
CREATE INDEX users_user_name ON users (tenant, user_name_absent, user_name, user_name_rest, id);
CREATE INDEX users_created ON users (tenant, created);
CREATE INDEX users_modified ON users (tenant, shown_modified);

-- Without a user it is a tombstone: the user that the entry was bound to is deleted.
CREATE TABLE links (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    repository TEXT NOT NULL,
    entry_key TEXT NOT NULL,
    user_key INTEGER REFERENCES users (key),
    removed INTEGER, -- when it became a tombstone
    dn TEXT NOT NULL,
    shadow TEXT NOT NULL, -- JSON
    seen INTEGER NOT NULL,
    entry_modified INTEGER,
    CHECK ((user_key IS NULL) = (removed IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX links_entry_key ON links (tenant, repository, entry_key);
CREATE UNIQUE INDEX links_user_key ON links (user_key);

-- Which paths are indexed, and how; `form` differs when the way of indexing does.
CREATE TABLE paths (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    form TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX paths_path ON paths (path);

-- The values of the indexed paths as searches see them. Ordinal 0 is the one to sort by.
CREATE TABLE attributes (
    user_key INTEGER NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    path INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    fold TEXT NOT NULL,
    rest TEXT NOT NULL,
    number REAL,
    PRIMARY KEY (user_key, path, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_fold ON attributes (tenant, path, fold, rest);
CREATE INDEX attributes_number ON attributes (tenant, path, number) WHERE number IS NOT NULL;

-- Persons stand in the audit trail as random tokens; who a token is stands here alone.
CREATE TABLE audit_persons (
    token TEXT PRIMARY KEY NOT NULL,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    person TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX audit_persons_person ON audit_persons (tenant, person);

-- `sequence` and `hash` are given afterwards, when the records are chained.
CREATE TABLE audit (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    at INTEGER NOT NULL,
    caller TEXT NOT NULL,
    action TEXT NOT NULL,
    token TEXT NOT NULL,
    request_id TEXT NOT NULL,
    sequence INTEGER,
    hash TEXT
) STRICT;
CREATE UNIQUE INDEX audit_sequence ON audit (tenant, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_token ON audit (tenant, token);
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are not deleted');
END;
CREATE TRIGGER audit_is BEFORE UPDATE OF tenant, at, caller, action, token, request_id ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are not changed');
END;
