-- The table of sqlite/0003_issued_tokens.sql, where every column is described.
CREATE TABLE issued_tokens (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    digest TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C",
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    last_used BIGINT,
    CONSTRAINT issued_tokens_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX issued_tokens_digest ON issued_tokens (digest);
CREATE INDEX issued_tokens_client ON issued_tokens (tenant, client, key);
CREATE INDEX issued_tokens_expires ON issued_tokens (expires);
