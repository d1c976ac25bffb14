-- The index of sqlite/0011_census.sql, where it is described.
DROP INDEX links_missing;
CREATE INDEX links_missing ON links (tenant, repository, vanished, missing)
    WHERE user_key IS NOT NULL AND missing IS NOT NULL;
