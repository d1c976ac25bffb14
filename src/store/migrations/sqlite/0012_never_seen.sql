-- Of whom it is not known where they were seen. Empty when all who were bound before that was kept have
-- been looked for and found.
CREATE INDEX links_never_seen ON links (tenant, repository, verified)
    WHERE user_key IS NOT NULL AND scope IS NULL AND missing IS NULL;
