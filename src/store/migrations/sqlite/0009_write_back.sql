-- What is being written to a directory: made before that, removed with the row's change after it.
CREATE TABLE intents (
    id TEXT PRIMARY KEY NOT NULL,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    repository TEXT NOT NULL,
    entry_key TEXT NOT NULL,
    keys TEXT NOT NULL, -- the mapped keys that are written, as a JSON array
    digest TEXT NOT NULL, -- of their values as they shall be, salted with the id
    until INTEGER NOT NULL, -- when whoever made it has given it up
    caller TEXT NOT NULL, -- who does it, by which request
    actor TEXT,
    request_id TEXT NOT NULL
) STRICT;
CREATE INDEX intents_until ON intents (tenant, until);

-- What else there is to tell of a change: the attributes that were written back.
ALTER TABLE audit ADD COLUMN detail TEXT;
DROP TRIGGER audit_is;
CREATE TRIGGER audit_is BEFORE UPDATE OF key, tenant, at, caller, action, token, request_id, event,
    outcome, correlation_id, actor, detail ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are not changed');
END;
