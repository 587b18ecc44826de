-- From version 2: several archives, by role, and custody with those beside the primary one.

ALTER TABLE archives RENAME TO archives_before;
CREATE TABLE archives (
    name    TEXT PRIMARY KEY,
    role    TEXT NOT NULL DEFAULT '',             -- primary, failover, copy; '' if it is configured no more
    online  INTEGER NOT NULL,
    since   REAL NOT NULL,
    reason  TEXT NOT NULL DEFAULT '',
    lasting INTEGER NOT NULL DEFAULT 0,           -- it is offline until a person does something
    contact REAL                                  -- last time that it answered
) STRICT, WITHOUT ROWID;
INSERT INTO archives (name, online, since, reason, lasting, contact)
    SELECT name, online, since, reason, lasting, contact FROM archives_before;
DROP TABLE archives_before;

CREATE TABLE copies (
    archive     TEXT NOT NULL,
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    custody     TEXT NOT NULL DEFAULT 'EDGE_ONLY',
    tries       INTEGER NOT NULL DEFAULT 0,
    retry_at    REAL NOT NULL DEFAULT 0,
    reason      TEXT NOT NULL DEFAULT '',
    verified    REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (archive, instance_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_by_instance ON copies (instance_id);
CREATE INDEX copies_by_work ON copies (archive, custody, retry_at)
    WHERE custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED');

CREATE TRIGGER instance_to_be_copied AFTER INSERT ON instances WHEN new.origin <> 'CLOUD' BEGIN
    INSERT INTO copies (archive, instance_id) SELECT name, new.id FROM archives WHERE role = 'copy';
END;
