-- Version 5. Who may use the page (gateway/roster.py): `kind` is person, session, token or visited, `line` JSON. One
-- table, so that what all tables are stays on the file's first page. No password and no token stands here, only what
-- shows that one is right.
CREATE TABLE roster (
    kind TEXT NOT NULL, name TEXT NOT NULL, line TEXT NOT NULL, PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
