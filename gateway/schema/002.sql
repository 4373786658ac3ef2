-- Version 2. Letters that a broker can never take, commands that were taken, and what is to be sent once more.
-- A dead letter is set aside with all that is needed to send it again; its number has been told as lost.
CREATE TABLE dead (
    uplink TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, sequence INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, body TEXT NOT NULL, private TEXT, PRIMARY KEY (uplink, lane, seq)
) STRICT;

-- Each id once, whatever became of it: `reply` is null while it is carried out. Forgotten long after it has expired.
CREATE TABLE command (
    id TEXT PRIMARY KEY, uplink TEXT NOT NULL, expires_ms INTEGER NOT NULL, reply TEXT
) STRICT, WITHOUT ROWID;

-- One range of a lane that an uplink gets once more: rows with seq > `after`, up to `upto`.
CREATE TABLE again (
    uplink TEXT NOT NULL, lane TEXT NOT NULL, after INTEGER NOT NULL, upto INTEGER NOT NULL,
    PRIMARY KEY (uplink, lane)
) STRICT, WITHOUT ROWID;
