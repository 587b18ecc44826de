-- From version 10: what archives have since they corrected it.

-- What an archive has in place of an instance since it corrected patient or study: all beside those was
-- seen to be the same. The instance stays as it came.
CREATE TABLE corrected (
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    archive     TEXT NOT NULL,                    -- '' is the primary one
    digest      BLOB NOT NULL,                    -- SHA-256 of its data set there
    PRIMARY KEY (instance_id, archive)
) STRICT, WITHOUT ROWID;

-- What differs may be no more than the correction: it is looked at once more.
UPDATE instances SET custody = 'ACKNOWLEDGED', retry_at = 0, tries = 0,
    reason = 'the archive has other bytes, and corrected patient or study'
    WHERE custody = 'CONFLICT' AND availability = 'ONLINE' AND withheld <> 'TRASH'
    AND study_id IN (SELECT study_id FROM overlays)
    AND id IN (SELECT instance_id FROM disputes WHERE decision = '' AND digest IS NOT NULL);
