-- The index of sqlite/0012_never_seen.sql, where it is described.
CREATE INDEX links_never_seen ON links (tenant, repository, verified)
    WHERE user_key IS NOT NULL AND scope IS NULL AND missing IS NULL;
