ALTER TABLE audit ADD COLUMN event TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN outcome TEXT COLLATE "C" NOT NULL DEFAULT 'success';
ALTER TABLE audit ADD COLUMN correlation_id TEXT COLLATE "C";
ALTER TABLE audit ADD COLUMN actor TEXT COLLATE "C";
CREATE INDEX audit_open ON audit (sequence, key) WHERE sequence IS NULL;
DROP TRIGGER audit_is ON audit;
CREATE TRIGGER audit_is BEFORE UPDATE OF key, tenant, at, caller, action, token, request_id, event,
    outcome, correlation_id, actor ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_chained BEFORE UPDATE OF sequence, hash ON audit
    FOR EACH ROW WHEN (OLD.sequence IS NOT NULL) EXECUTE FUNCTION audit_stands();

CREATE TABLE audit_heads (
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    sequence BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    CONSTRAINT audit_heads_tenant PRIMARY KEY (tenant)
);

CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    CONSTRAINT leases_name PRIMARY KEY (name)
);

CREATE TABLE departed (
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    digest TEXT COLLATE "C" NOT NULL,
    person TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C",
    entry_key TEXT COLLATE "C",
    removed BIGINT NOT NULL,
    CONSTRAINT departed_person_key PRIMARY KEY (tenant, digest, person)
);
CREATE INDEX departed_person ON departed (tenant, person);
