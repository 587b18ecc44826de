-- From version 6: patients who are expected, and what a person wants to be here.

CREATE TABLE expected (
    patient_id TEXT NOT NULL,
    issuer     TEXT NOT NULL DEFAULT '',
    modality   TEXT NOT NULL DEFAULT '',
    body_part  TEXT NOT NULL DEFAULT '',
    date       TEXT NOT NULL,
    source     TEXT NOT NULL DEFAULT '',
    announced  REAL NOT NULL,
    PRIMARY KEY (date, patient_id, issuer, modality, body_part, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    kind   TEXT NOT NULL,
    value  TEXT NOT NULL,
    issuer TEXT NOT NULL DEFAULT '',
    added  REAL NOT NULL,
    who    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, value, issuer)
) STRICT, WITHOUT ROWID;

CREATE INDEX series_by_arrival ON series (created);
CREATE INDEX reports_elsewhere ON series (study_id)
    WHERE modality IN ('SR', 'DOC', 'KO', 'PR') AND online_count < instance_count;
