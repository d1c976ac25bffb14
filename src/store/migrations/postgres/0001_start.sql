-- The tables of sqlite/0001_start.sql, where every column is described. Texts are compared and
-- sorted by their bytes, whatever the collation of the database. A unique constraint is named after
-- its table and its last column.

CREATE TABLE tenants (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT COLLATE "C" NOT NULL,
    last_number BIGINT NOT NULL,
    CONSTRAINT tenants_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX tenants_name ON tenants (name);

CREATE TABLE users (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    user_type BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    last_modified BIGINT NOT NULL,
    shown_modified BIGINT NOT NULL,
    user_name_absent BIGINT NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    user_name_rest TEXT COLLATE "C" NOT NULL,
    owned_user_name TEXT COLLATE "C",
    owned_external_id TEXT COLLATE "C",
    own TEXT COLLATE "C" NOT NULL,
    view TEXT COLLATE "C",
    CONSTRAINT users_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX users_id ON users (tenant, id);
CREATE UNIQUE INDEX users_number ON users (tenant, number);
CREATE UNIQUE INDEX users_owned_user_name ON users (tenant, owned_user_name)
    WHERE owned_user_name IS NOT NULL;
CREATE UNIQUE INDEX users_owned_external_id ON users (tenant, owned_external_id)
    WHERE owned_external_id IS NOT NULL;
CREATE INDEX users_user_name ON users (tenant, user_name_absent, user_name, id);
CREATE INDEX users_created ON users (tenant, created);
CREATE INDEX users_modified ON users (tenant, shown_modified);

CREATE TABLE links (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    repository TEXT COLLATE "C" NOT NULL,
    entry_key TEXT COLLATE "C" NOT NULL,
    user_key BIGINT REFERENCES users (key),
    removed BIGINT,
    dn TEXT COLLATE "C" NOT NULL,
    shadow TEXT COLLATE "C" NOT NULL,
    seen BIGINT NOT NULL,
    entry_modified BIGINT,
    CONSTRAINT links_key PRIMARY KEY (key),
    CHECK ((user_key IS NULL) = (removed IS NOT NULL))
);
CREATE UNIQUE INDEX links_entry_key ON links (tenant, repository, entry_key);
CREATE UNIQUE INDEX links_user_key ON links (user_key);

CREATE TABLE paths (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    path TEXT COLLATE "C" NOT NULL,
    form TEXT COLLATE "C" NOT NULL,
    CONSTRAINT paths_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX paths_path ON paths (path);

CREATE TABLE attributes (
    user_key BIGINT NOT NULL REFERENCES users (key) ON DELETE CASCADE,
    path BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    tenant BIGINT NOT NULL,
    fold TEXT COLLATE "C" NOT NULL,
    rest TEXT COLLATE "C" NOT NULL,
    number DOUBLE PRECISION,
    CONSTRAINT attributes_ordinal PRIMARY KEY (user_key, path, ordinal)
);
CREATE INDEX attributes_fold ON attributes (tenant, path, fold);
CREATE INDEX attributes_number ON attributes (tenant, path, number) WHERE number IS NOT NULL;

CREATE TABLE audit_persons (
    token TEXT COLLATE "C" NOT NULL,
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    person TEXT COLLATE "C" NOT NULL,
    CONSTRAINT audit_persons_token PRIMARY KEY (token)
);
CREATE UNIQUE INDEX audit_persons_person ON audit_persons (tenant, person);

CREATE TABLE audit (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant BIGINT NOT NULL REFERENCES tenants (key),
    at BIGINT NOT NULL,
    caller TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT,
    hash TEXT COLLATE "C",
    CONSTRAINT audit_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX audit_sequence ON audit (tenant, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_token ON audit (tenant, token);
CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are neither changed nor deleted';
END
$$;
CREATE TRIGGER audit_stays BEFORE DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_is BEFORE UPDATE OF tenant, at, caller, action, token, request_id ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
