-- The table of sqlite/0007_gifts.sql, where every column is described.
CREATE TABLE gifts (
    resource_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    kind BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    rules BIGINT NOT NULL,
    PRIMARY KEY (resource_key, kind, id)
);
CREATE INDEX gifts_id ON gifts (id, kind);
