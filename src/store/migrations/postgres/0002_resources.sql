-- The tables of sqlite/0002_resources.sql, where every column is described. What may be long stands
-- in no index but where it is unique.

ALTER TABLE users RENAME TO resources;
ALTER TABLE resources RENAME CONSTRAINT users_key TO resources_key;
ALTER TABLE resources RENAME COLUMN user_name_absent TO name_absent;
ALTER TABLE resources RENAME COLUMN user_name TO name;
ALTER TABLE resources RENAME COLUMN user_name_rest TO name_rest;
ALTER TABLE resources RENAME COLUMN owned_user_name TO owned_name;
ALTER TABLE resources ADD COLUMN type TEXT COLLATE "C" NOT NULL DEFAULT 'User';
ALTER TABLE resources ADD COLUMN display TEXT COLLATE "C";
-- A text that holds U+0000 is JSON, but none of PostgreSQL's.
UPDATE resources SET display = COALESCE(
    CASE jsonb_typeof(replace(COALESCE(view, own), '\u0000', '')::jsonb -> 'displayName')
        WHEN 'string' THEN replace(COALESCE(view, own), '\u0000', '')::jsonb ->> 'displayName' END,
    CASE jsonb_typeof(replace(COALESCE(view, own), '\u0000', '')::jsonb -> 'userName')
        WHEN 'string' THEN replace(COALESCE(view, own), '\u0000', '')::jsonb ->> 'userName' END);

DROP INDEX users_id;
DROP INDEX users_number;
DROP INDEX users_owned_user_name;
DROP INDEX users_owned_external_id;
DROP INDEX users_user_name;
DROP INDEX users_created;
DROP INDEX users_modified;
CREATE UNIQUE INDEX resources_id ON resources (tenant, id);
CREATE UNIQUE INDEX resources_number ON resources (tenant, number);
CREATE UNIQUE INDEX resources_owned_name ON resources (tenant, type, owned_name)
    WHERE owned_name IS NOT NULL;
CREATE UNIQUE INDEX resources_owned_external_id ON resources (tenant, type, owned_external_id)
    WHERE owned_external_id IS NOT NULL;
CREATE INDEX resources_type ON resources (tenant, type, id);
CREATE INDEX resources_name ON resources (tenant, type, name_absent, name, id);
CREATE INDEX resources_created ON resources (tenant, type, created, id);
CREATE INDEX resources_modified ON resources (tenant, type, shown_modified, id);
CREATE INDEX resources_lower ON resources (tenant, LOWER(id)) WHERE id <> LOWER(id);

CREATE TABLE members (
    group_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    member_key BIGINT NOT NULL,
    CONSTRAINT members_member_key FOREIGN KEY (member_key) REFERENCES resources (key)
        ON DELETE CASCADE,
    PRIMARY KEY (group_key, member_key)
);
CREATE INDEX members_of ON members (member_key, group_key);

DROP TABLE attributes;
DROP TABLE paths;
CREATE TABLE paths (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    type TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    form TEXT COLLATE "C" NOT NULL,
    whole BIGINT NOT NULL,
    CONSTRAINT paths_key PRIMARY KEY (key)
);
CREATE UNIQUE INDEX paths_form ON paths (type, path, form);
CREATE TABLE attributes (
    resource_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    path BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    tenant BIGINT NOT NULL,
    fold TEXT COLLATE "C" NOT NULL,
    rest TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C",
    CONSTRAINT attributes_ordinal PRIMARY KEY (resource_key, path, ordinal)
);
CREATE INDEX attributes_fold ON attributes (tenant, path, fold, id);

CREATE TABLE unique_values (
    resource_key BIGINT NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    tenant BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT unique_values_path PRIMARY KEY (resource_key, path)
);
CREATE UNIQUE INDEX unique_values_value ON unique_values (tenant, type, path, value);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT settings_name PRIMARY KEY (name)
);
