-- From version 4: instances that are here, and withheld from whoever looks.

ALTER TABLE instances ADD COLUMN withheld TEXT NOT NULL DEFAULT '';
CREATE INDEX instances_withheld ON instances (withheld, study_id) WHERE withheld <> '';
CREATE INDEX notes_in_archive ON instances (id)
    WHERE sop_class_uid = '1.2.840.10008.5.1.4.1.1.88.59' AND availability = 'NEARLINE';

-- Of what has instances, all of them withheld: no search finds it. The triggers keep these.
CREATE TABLE hidden_studies (
    study_id INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE
) STRICT;
CREATE TABLE hidden_series (
    series_id INTEGER PRIMARY KEY REFERENCES series ON DELETE CASCADE,
    study_id  INTEGER NOT NULL
) STRICT;

-- What rejection notes refer to (IHE RAD-66), whether it is here, was here, or is still to come.
CREATE TABLE rejections (
    sop_uid  TEXT NOT NULL,
    note_uid TEXT NOT NULL,                       -- the Key Object Selection that says so
    code     TEXT NOT NULL,                       -- its title (DCM)
    since    REAL NOT NULL,
    PRIMARY KEY (sop_uid, note_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX rejections_by_note ON rejections (note_uid);

-- What is in the trash (withheld is TRASH), and why.
CREATE TABLE trash (
    instance_id INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    record      TEXT NOT NULL,                    -- the sealed file that tells a rebuild of it
    archive     TEXT NOT NULL,                    -- that deleted it
    reason      TEXT NOT NULL,
    since       REAL NOT NULL
) STRICT;
CREATE INDEX trash_by_record ON trash (record);
CREATE INDEX trash_by_time ON trash (since);

DROP TRIGGER series_removed;
DROP TRIGGER instance_added;
DROP TRIGGER instance_removed;
DROP TRIGGER instance_changed;
DROP TRIGGER instance_reclassed;

CREATE TRIGGER series_removed AFTER DELETE ON series BEGIN
    UPDATE studies SET
        series_count = series_count - 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = old.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = old.study_id;
END;
CREATE TRIGGER series_hidden AFTER INSERT ON hidden_series BEGIN
    UPDATE studies SET
        series_count = series_count - 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = new.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = new.study_id;
END;
-- Also when the series goes, which is counted out by its own trigger.
CREATE TRIGGER series_shown AFTER DELETE ON hidden_series BEGIN
    UPDATE studies SET
        series_count = series_count + 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = old.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = old.study_id;
END;

CREATE TRIGGER instance_added AFTER INSERT ON instances BEGIN
    UPDATE studies SET
        instance_count = instance_count + (new.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE'),
        edge_only_count = edge_only_count + (new.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = new.study_id;
    UPDATE series SET
        instance_count = instance_count + (new.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE'),
        sop_classes = CASE
            WHEN new.withheld <> '' OR new.sop_class_uid = ''
                OR instr(sop_classes, '\' || new.sop_class_uid || '\')
            THEN sop_classes
            WHEN sop_classes = '' THEN '\' || new.sop_class_uid || '\'
            ELSE sop_classes || new.sop_class_uid || '\' END
    WHERE id = new.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes + new.sealed_bytes;
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = new.series_id AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = new.study_id AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
    DELETE FROM hidden_series WHERE series_id = new.series_id AND new.withheld = '';
    DELETE FROM hidden_studies WHERE study_id = new.study_id AND new.withheld = '';
END;
CREATE TRIGGER instance_removed AFTER DELETE ON instances BEGIN
    UPDATE studies SET
        instance_count = instance_count - (old.withheld = ''),
        online_count = online_count - (old.withheld = '' AND old.availability = 'ONLINE'),
        edge_only_count = edge_only_count - (old.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = old.study_id;
    UPDATE series SET
        instance_count = instance_count - (old.withheld = ''),
        online_count = online_count - (old.withheld = '' AND old.availability = 'ONLINE'),
        -- Counted anew only where the last of one class may have gone.
        sop_classes = CASE
            WHEN sop_classes <> '\' || old.sop_class_uid || '\' OR instance_count = 1
            THEN coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
                (SELECT DISTINCT sop_class_uid FROM instances
                WHERE series_id = old.series_id AND sop_class_uid <> '' AND withheld = '')), '')
            ELSE sop_classes END
    WHERE id = old.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes - old.sealed_bytes;
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = old.series_id AND old.withheld = '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = old.study_id AND old.withheld = '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
END;
CREATE TRIGGER instance_changed AFTER UPDATE OF availability, custody, sealed_bytes, withheld ON instances
WHEN old.availability <> new.availability OR old.custody <> new.custody
    OR old.sealed_bytes <> new.sealed_bytes OR old.withheld <> new.withheld
BEGIN
    UPDATE studies SET
        instance_count = instance_count + (new.withheld = '') - (old.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE')
            - (old.withheld = '' AND old.availability = 'ONLINE'),
        edge_only_count = edge_only_count
            + (new.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
            - (old.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = new.study_id;
    UPDATE series SET
        instance_count = instance_count + (new.withheld = '') - (old.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE')
            - (old.withheld = '' AND old.availability = 'ONLINE')
    WHERE id = new.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes + new.sealed_bytes - old.sealed_bytes;
    -- What follows is only for what is hidden now, or shown again.
    UPDATE series SET
        sop_classes = CASE
            WHEN new.withheld = '' AND instr(sop_classes, '\' || new.sop_class_uid || '\')
            THEN sop_classes
            WHEN new.withheld <> '' AND instance_count > 0
                AND sop_classes = '\' || new.sop_class_uid || '\'
            THEN sop_classes
            ELSE coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
                (SELECT DISTINCT sop_class_uid FROM instances
                WHERE series_id = new.series_id AND sop_class_uid <> '' AND withheld = '')), '') END
    WHERE id = new.series_id AND (old.withheld = '') <> (new.withheld = '');
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = new.series_id AND old.withheld = '' AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = new.study_id AND old.withheld = '' AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
    DELETE FROM hidden_series WHERE series_id = new.series_id AND old.withheld <> '' AND new.withheld = '';
    DELETE FROM hidden_studies WHERE study_id = new.study_id AND old.withheld <> '' AND new.withheld = '';
    INSERT INTO changes (action, study_uid, series_uid, sop_uid, at)
        SELECT CASE new.withheld WHEN '' THEN 'CREATE' ELSE 'DELETE' END,
            s.study_uid, e.series_uid, new.sop_uid, unixepoch('subsec')
        FROM series e JOIN studies s ON s.id = e.study_id
        WHERE e.id = new.series_id AND (old.withheld = '') <> (new.withheld = '');
    DELETE FROM trash
        WHERE instance_id = new.id AND old.withheld = 'TRASH' AND new.withheld <> 'TRASH';
END;
-- Whatever is not VERIFIED is no one's to throw away: it comes back.
CREATE TRIGGER trash_doubted AFTER UPDATE OF custody ON instances
WHEN new.withheld = 'TRASH' AND new.custody <> 'VERIFIED'
BEGIN
    UPDATE instances SET withheld = CASE
            WHEN EXISTS (SELECT 1 FROM rejections WHERE sop_uid = new.sop_uid) THEN 'REJECTED'
            ELSE '' END
        WHERE id = new.id;
END;
CREATE TRIGGER instance_reclassed AFTER UPDATE OF sop_class_uid ON instances
WHEN old.sop_class_uid <> new.sop_class_uid
BEGIN
    UPDATE series SET sop_classes = coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
        (SELECT DISTINCT sop_class_uid FROM instances
        WHERE series_id = new.series_id AND sop_class_uid <> '' AND withheld = '')), '')
    WHERE id = new.series_id;
END;
