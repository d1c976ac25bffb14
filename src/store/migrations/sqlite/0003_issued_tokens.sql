-- Tokens that clients got at the token endpoint. Their digests are all that is kept of them.
CREATE TABLE issued_tokens (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL, -- SHA-256, in hex
    tenant TEXT NOT NULL, -- its name: whoever has tokens need not have users
    client TEXT NOT NULL,
    scope TEXT, -- where the client asked for less than it may
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    last_used INTEGER
) STRICT;
CREATE UNIQUE INDEX issued_tokens_digest ON issued_tokens (digest);
CREATE INDEX issued_tokens_client ON issued_tokens (tenant, client, key);
CREATE INDEX issued_tokens_expires ON issued_tokens (expires);
