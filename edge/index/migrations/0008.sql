-- From version 7: bundles on a disk, and what is under way in them.

-- Bundles that were written to a disk for a courier. One that was closed stays known: what is on a
-- copy of its disk counts no more.
CREATE TABLE courier_bundles (
    bundle TEXT PRIMARY KEY,
    packed REAL NOT NULL,                         -- when it was begun
    closed REAL NOT NULL DEFAULT 0                -- when it was done with; 0 before
) STRICT, WITHOUT ROWID;

-- What is in them. OVERTAKEN: the archive itself has spoken of the instance since.
CREATE TABLE courier (
    instance_id    INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    bundle         TEXT NOT NULL REFERENCES courier_bundles ON DELETE CASCADE,
    packed         REAL NOT NULL,
    dataset_digest BLOB NOT NULL,                 -- of the bytes that were packed
    outcome        TEXT NOT NULL DEFAULT '',      -- by the receipt; '' while it is under way
    PRIMARY KEY (instance_id, bundle)
) STRICT, WITHOUT ROWID;
CREATE INDEX courier_by_outcome ON courier (outcome, bundle);

CREATE TRIGGER courier_overtaken AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('ACKNOWLEDGED', 'VERIFIED', 'CONFLICT') AND old.custody <> new.custody
BEGIN
    UPDATE courier SET outcome = 'OVERTAKEN' WHERE instance_id = new.id;
END;
