-- Version 3. Bodies are stored packed (gateway/packing.py), as blobs; those that are there already stay as they are, as
-- text. Nothing on disk changes but the word for the column, so the schema is changed in place, as SQLite's own manual
-- has it for such changes (ALTER TABLE, section 7).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'body TEXT', 'body ANY')
    WHERE type = 'table' AND name IN ('alarm_lane', 'event_lane', 'telemetry_lane');
PRAGMA writable_schema = RESET;
