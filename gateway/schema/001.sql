-- Version 1. One table per lane, read and trimmed by its own key: no secondary index, no flag per event.
-- `seq` counts what was taken in, never reused: the newest row of a lane is never deleted.
-- `numbers` holds every uplink's sequence number so far in this lane, "district=42 fire-brigade=-7": positive where
-- the event is meant for that uplink, negative where it is not. So the newest row carries all counters, and an
-- append touches one page.
-- `body` is the event as JSON without stream and sequence, which differ per uplink.
-- `private` is the credential in clear, as JSON, kept apart from what leaves the box.
CREATE TABLE alarm_lane (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, numbers TEXT NOT NULL, body TEXT NOT NULL, private TEXT
) STRICT;
CREATE TABLE event_lane (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, numbers TEXT NOT NULL, body TEXT NOT NULL, private TEXT
) STRICT;
CREATE TABLE telemetry_lane (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, numbers TEXT NOT NULL, body TEXT NOT NULL, private TEXT
) STRICT;

-- How far each uplink has confirmed each lane: `seq` of the lane, and the uplink's own `sequence` there.
CREATE TABLE cursor (
    uplink TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (uplink, lane)
) STRICT, WITHOUT ROWID;

-- Counters of uplinks that are no longer configured, so that one that comes back goes on where it was. After a salvage
-- all counters stand here, and with the empty name those of the lanes themselves: no row may have them any more.
CREATE TABLE stream (
    uplink TEXT NOT NULL, lane TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (uplink, lane)
) STRICT, WITHOUT ROWID;

-- Conditions and alarms that are not normal, by device, type and part.
CREATE TABLE alarm (
    device TEXT NOT NULL, type TEXT NOT NULL, part TEXT NOT NULL, id TEXT NOT NULL, severity TEXT NOT NULL,
    active INTEGER NOT NULL, acknowledged INTEGER NOT NULL, confirmed INTEGER NOT NULL, latched INTEGER NOT NULL,
    count INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, test INTEGER NOT NULL,
    PRIMARY KEY (device, type, part)
) STRICT, WITHOUT ROWID;

-- Small durable facts: connection counters of uplinks, the dossier's revision.
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
