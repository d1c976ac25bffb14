-- The name that ActivID has for what happened, how it went, which job it belongs to, and the token of
-- the person who called.
ALTER TABLE audit ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT 'success';
ALTER TABLE audit ADD COLUMN correlation_id TEXT;
ALTER TABLE audit ADD COLUMN actor TEXT;
-- What is not chained yet, in the order in which it was written.
CREATE INDEX audit_open ON audit (sequence, key) WHERE sequence IS NULL;
DROP TRIGGER audit_is;
CREATE TRIGGER audit_is BEFORE UPDATE OF key, tenant, at, caller, action, token, request_id, event,
    outcome, correlation_id, actor ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are not changed');
END;
CREATE TRIGGER audit_chained BEFORE UPDATE OF sequence, hash ON audit WHEN OLD.sequence IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'audit records are chained once');
END;

-- Where the chain of each tenant's records stands.
CREATE TABLE audit_heads (
    tenant INTEGER PRIMARY KEY REFERENCES tenants (key),
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- Work that one program does for all who have the database open, until when.
CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;

-- Deleted users, until they are forgotten, by a keyed digest of the externalId that each had.
CREATE TABLE departed (
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    digest TEXT NOT NULL,
    person TEXT NOT NULL, -- canonical id
    repository TEXT, -- of whom was bound
    entry_key TEXT,
    removed INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX departed_person ON departed (tenant, person);
