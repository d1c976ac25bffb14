-- Whose a device or an authenticator is: of one user at most.
CREATE TABLE owners (
    resource_key INTEGER PRIMARY KEY REFERENCES resources (key) ON DELETE CASCADE,
    owner_key INTEGER NOT NULL REFERENCES resources (key) ON DELETE CASCADE
) STRICT;
CREATE INDEX owners_of ON owners (owner_key, resource_key);

-- The passwords of authenticators, as nobody can read them.
CREATE TABLE passwords (
    resource_key INTEGER PRIMARY KEY REFERENCES resources (key) ON DELETE CASCADE,
    hash TEXT NOT NULL, -- argon2id, in the PHC string format
    changed INTEGER NOT NULL
) STRICT;
