-- The table of sqlite/0010_static_tokens.sql, where every column is described.
CREATE TABLE static_tokens (
    digest TEXT COLLATE "C" NOT NULL,
    last_used BIGINT,
    revoked BIGINT,
    CONSTRAINT static_tokens_digest PRIMARY KEY (digest)
);
