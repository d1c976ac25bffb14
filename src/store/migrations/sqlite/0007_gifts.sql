-- What rules gave the people of linked rows when they were last seen.
CREATE TABLE gifts (
    resource_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE,
    kind INTEGER NOT NULL, -- 0 a group, 1 a role
    id TEXT NOT NULL, -- its canonical id
    rules INTEGER NOT NULL, -- stands for the rules that give it
    PRIMARY KEY (resource_key, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX gifts_id ON gifts (id, kind);
