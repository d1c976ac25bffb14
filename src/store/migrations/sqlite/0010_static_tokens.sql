-- What there is to know of tokens of the configuration. Known by digest and not by name: a new token
-- under the name of one that was taken back is another one.
CREATE TABLE static_tokens (
    digest TEXT PRIMARY KEY NOT NULL, -- SHA-256, in hex
    last_used INTEGER,
    revoked INTEGER -- since when; absent where it is good
) STRICT;
