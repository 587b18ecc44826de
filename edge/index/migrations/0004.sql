-- From version 3: the order in which the archive gets what it lacks.

ALTER TABLE studies ADD COLUMN upload_first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN previewed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN priority INTEGER NOT NULL DEFAULT 3;
ALTER TABLE instances ADD COLUMN behind INTEGER NOT NULL DEFAULT 1;
CREATE INDEX instances_in_turn
    ON instances (priority, behind, study_id, series_id, instance_number, id)
    WHERE custody IN ('EDGE_ONLY', 'SENT', 'REFUSED') AND availability = 'ONLINE'
    AND (custody <> 'REFUSED' OR retry_at > 0);
