-- The table of sqlite/0009_write_back.sql, where every column is described.
CREATE TABLE intents (
    id TEXT COLLATE "C" NOT NULL,
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    repository TEXT COLLATE "C" NOT NULL,
    entry_key TEXT COLLATE "C" NOT NULL,
    keys TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    caller TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT intents_id PRIMARY KEY (id)
);
CREATE INDEX intents_until ON intents (tenant, until);

ALTER TABLE audit ADD COLUMN detail TEXT COLLATE "C";
DROP TRIGGER audit_is ON audit;
CREATE TRIGGER audit_is BEFORE UPDATE OF key, tenant, at, caller, action, token, request_id, event,
    outcome, correlation_id, actor, detail ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
