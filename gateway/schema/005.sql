-- Version 5. Who may use the page (gateway/people.py). No password and no token stands here, only what shows that one
-- is right: `password` is an argon2id hash, `sha256` that of a random token of 256 bits.
CREATE TABLE person (
    name TEXT NOT NULL PRIMARY KEY, shown TEXT NOT NULL, role TEXT NOT NULL, password TEXT NOT NULL,
    made_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    sha256 TEXT NOT NULL PRIMARY KEY, person TEXT NOT NULL, address TEXT NOT NULL, began_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE token (
    sha256 TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, made_by TEXT NOT NULL,
    made_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- From where somebody has signed in: such an address has a count of wrong passwords of its own (gateway/lockout.py).
CREATE TABLE visited (
    person TEXT NOT NULL, address TEXT NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (person, address)
) STRICT, WITHOUT ROWID;
