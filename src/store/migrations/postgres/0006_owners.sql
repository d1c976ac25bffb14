-- The tables of sqlite/0006_owners.sql, where every column is described.
CREATE TABLE owners (
    resource_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    owner_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    CONSTRAINT owners_resource_key PRIMARY KEY (resource_key)
);
CREATE INDEX owners_of ON owners (owner_key, resource_key);

CREATE TABLE passwords (
    resource_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    hash TEXT COLLATE "C" NOT NULL,
    changed BIGINT NOT NULL,
    CONSTRAINT passwords_resource_key PRIMARY KEY (resource_key)
);
