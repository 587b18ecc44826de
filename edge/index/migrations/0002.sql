-- From version 1: what the archive refuses or has otherwise, and what a person decides about it.

-- Since when the archive refuses an instance (custody REFUSED) or has it otherwise (CONFLICT), and what
-- a person decided about it. The triggers make the row, and let it go once the archive has the instance.
CREATE TABLE disputes (
    instance_id     INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    since           REAL NOT NULL,
    refusals        INTEGER NOT NULL DEFAULT 0,   -- how often it was refused
    given_up        REAL NOT NULL DEFAULT 0,      -- when a person gave it up; 0 if nobody did
    decision        TEXT NOT NULL DEFAULT '',     -- of a conflict, until it is carried out
    words           TEXT NOT NULL DEFAULT '',     -- why it was given up, or why a decision failed
    digest          BLOB,                         -- what the archive has: SHA-256 of its data set,
    transfer_syntax TEXT NOT NULL DEFAULT '',     -- how that is encoded,
    content_bytes   INTEGER NOT NULL DEFAULT 0    -- and how long its file is
) STRICT;
CREATE INDEX disputes_by_time ON disputes (since);
CREATE INDEX disputes_to_carry_out ON disputes (decision) WHERE decision <> '';

-- What is sent in place of an instance: a copy of it that the archive takes. The instance stays as it
-- is, and here: the archive never has its bytes.
CREATE TABLE remedies (
    instance_id     INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    transfer_syntax TEXT NOT NULL,                -- '': that of the instance
    attributes      TEXT NOT NULL,                -- those that are supplied, DICOM JSON
    sent_digest     BLOB                          -- of the data set that was sent last; NULL before
) STRICT;

CREATE TRIGGER dispute_began AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('REFUSED', 'CONFLICT') AND old.custody <> new.custody
BEGIN
    INSERT INTO disputes (instance_id, since, refusals)
        VALUES (new.id, unixepoch('subsec'), new.custody = 'REFUSED')
        ON CONFLICT (instance_id) DO UPDATE SET refusals = refusals + excluded.refusals;
    -- What a person gave up stays so, whatever was under way then.
    UPDATE instances SET retry_at = 0 WHERE id = new.id AND new.custody = 'REFUSED'
        AND EXISTS (SELECT 1 FROM disputes WHERE instance_id = new.id AND given_up > 0);
END;
CREATE TRIGGER dispute_ended AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('ACKNOWLEDGED', 'VERIFIED') AND old.custody <> new.custody
BEGIN
    DELETE FROM disputes WHERE instance_id = new.id;
END;

-- It is not known since when; not later than now.
INSERT INTO disputes (instance_id, since, refusals)
    SELECT id, unixepoch('subsec'), custody = 'REFUSED' FROM instances
    WHERE custody IN ('REFUSED', 'CONFLICT');
