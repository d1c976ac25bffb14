ALTER TABLE links ADD COLUMN scope BIGINT;
ALTER TABLE links ADD COLUMN digest BIGINT;
ALTER TABLE links ADD COLUMN verified BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN missing BIGINT;
ALTER TABLE links ADD COLUMN vanished BIGINT;
CREATE INDEX links_verified ON links (tenant, repository, verified) WHERE user_key IS NOT NULL;
CREATE INDEX links_missing ON links (tenant, repository, missing)
    WHERE user_key IS NOT NULL AND missing IS NOT NULL;
