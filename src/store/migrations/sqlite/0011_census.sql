-- Who is missing and who vanished are counted out of the index alone.
DROP INDEX links_missing;
CREATE INDEX links_missing ON links (tenant, repository, vanished, missing)
    WHERE user_key IS NOT NULL AND missing IS NOT NULL;
