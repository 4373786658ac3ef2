-- Version 4. What people and rules do to alarms, what the platform says of its cases, and what left the box.
-- `history` is JSON, a list of [time_ms, step, who, from, note]; `first_of` is of a fire: the first of its set (首警).
ALTER TABLE alarm ADD COLUMN silenced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm ADD COLUMN until_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm ADD COLUMN first_of TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm ADD COLUMN history TEXT NOT NULL DEFAULT '[]';

-- The platform's incidents and notices as they came (JSON), and what was done here about an incident (JSON).
CREATE TABLE incident (
    id TEXT NOT NULL, uplink TEXT NOT NULL, document TEXT NOT NULL, mine TEXT NOT NULL, changed_ms INTEGER NOT NULL,
    PRIMARY KEY (uplink, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE notice (
    id TEXT NOT NULL, uplink TEXT NOT NULL, document TEXT NOT NULL, expires_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL, PRIMARY KEY (uplink, id)
) STRICT, WITHOUT ROWID;

-- How many events of a type, with which fields of `data`, an uplink was given on a day (of the site's own time).
CREATE TABLE disclosure (
    day TEXT NOT NULL, uplink TEXT NOT NULL, type TEXT NOT NULL, fields TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, uplink, type, fields)
) STRICT, WITHOUT ROWID;

-- Who did what (gateway/audit.py): lines are only added, each sealed with the one before.
CREATE TABLE audit (n INTEGER PRIMARY KEY, entry TEXT NOT NULL, seal TEXT NOT NULL) STRICT;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
