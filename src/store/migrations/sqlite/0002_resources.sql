-- Resources of every type stand in one table. `name` is folded as a search compares it: a user's
-- userName, a group's displayName; other types have none.

ALTER TABLE users RENAME TO resources;
ALTER TABLE resources RENAME COLUMN user_name_absent TO name_absent;
ALTER TABLE resources RENAME COLUMN user_name TO name;
ALTER TABLE resources RENAME COLUMN user_name_rest TO name_rest;
ALTER TABLE resources RENAME COLUMN owned_user_name TO owned_name;
ALTER TABLE resources ADD COLUMN type TEXT NOT NULL DEFAULT 'User';
-- What a group shows of a member: its displayName, else its name, as written.
ALTER TABLE resources ADD COLUMN display TEXT;
UPDATE resources SET display = COALESCE(
    CASE json_type(COALESCE(view, own), '$.displayName')
        WHEN 'text' THEN json_extract(COALESCE(view, own), '$.displayName') END,
    CASE json_type(COALESCE(view, own), '$.userName')
        WHEN 'text' THEN json_extract(COALESCE(view, own), '$.userName') END);

DROP INDEX users_id;
DROP INDEX users_number;
DROP INDEX users_owned_user_name;
DROP INDEX users_owned_external_id;
DROP INDEX users_user_name;
DROP INDEX users_created;
DROP INDEX users_modified;
-- Ids and numbers are unique over all types, names within one.
CREATE UNIQUE INDEX resources_id ON resources (tenant, id);
CREATE UNIQUE INDEX resources_number ON resources (tenant, number);
CREATE UNIQUE INDEX resources_owned_name ON resources (tenant, type, owned_name)
    WHERE owned_name IS NOT NULL;
CREATE UNIQUE INDEX resources_owned_external_id ON resources (tenant, type, owned_external_id)
    WHERE owned_external_id IS NOT NULL;
-- Each holds the order of a list, to its last tie.
CREATE INDEX resources_type ON resources (tenant, type, id);
CREATE INDEX resources_name ON resources (tenant, type, name_absent, name, name_rest, id);
CREATE INDEX resources_created ON resources (tenant, type, created, id);
CREATE INDEX resources_modified ON resources (tenant, type, shown_modified, id);
-- Ids that a comparison without regard to case finds only folded: few or none.
CREATE INDEX resources_lower ON resources (tenant, LOWER(id)) WHERE id <> LOWER(id);

-- Which group has which members: users and groups.
CREATE TABLE members (
    group_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    member_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    PRIMARY KEY (group_key, member_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of ON members (member_key, group_key);

-- The index of attributes is made anew when the database is opened: by type, and in the order of
-- lists to its last tie.
DROP TABLE attributes;
DROP TABLE paths;
-- Which paths of which types are indexed, and how; `whole` is 0 while the index is being built.
CREATE TABLE paths (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    path TEXT NOT NULL,
    form TEXT NOT NULL, -- differs when the way of indexing does
    whole INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX paths_form ON paths (type, path, form);
-- The values of the indexed paths as searches see them. `path` is three times the key of a path,
-- 1 more for a value of another type than the schema says, 2 more where there is none to sort by.
-- Ordinal 0 is the one to sort by.
CREATE TABLE attributes (
    resource_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    path INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    fold TEXT NOT NULL,
    rest TEXT NOT NULL,
    id TEXT, -- the resource's, at ordinal 0
    PRIMARY KEY (resource_key, path, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_fold ON attributes (tenant, path, fold, rest, id);

-- Values that no two resources of a type may share, beside names and externalIds.
CREATE TABLE unique_values (
    resource_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    tenant INTEGER NOT NULL,
    type TEXT NOT NULL,
    path TEXT NOT NULL,
    value TEXT NOT NULL, -- folded, whole
    PRIMARY KEY (resource_key, path)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX unique_values_value ON unique_values (tenant, type, path, value);

-- What the store keeps for the program itself.
CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;
