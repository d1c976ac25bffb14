-- Whether the entry that a user is bound to is there.
ALTER TABLE links ADD COLUMN scope INTEGER; -- stands for the part of the repository in which it was seen
ALTER TABLE links ADD COLUMN digest INTEGER; -- of the values in shadow
ALTER TABLE links ADD COLUMN verified INTEGER NOT NULL DEFAULT 0; -- when a read by key last told whether it is there
ALTER TABLE links ADD COLUMN missing INTEGER; -- since when such reads do not find it
ALTER TABLE links ADD COLUMN vanished INTEGER; -- when it was concluded that the person left
CREATE INDEX links_verified ON links (tenant, repository, verified) WHERE user_key IS NOT NULL;
CREATE INDEX links_missing ON links (tenant, repository, missing)
    WHERE user_key IS NOT NULL AND missing IS NOT NULL;
