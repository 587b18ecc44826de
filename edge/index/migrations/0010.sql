-- From version 9: DICOM services.

-- Modality Worklist (PS3.4 K): scheduled procedure steps as each source brought them, how the sources
-- are, and what became of steps by MPPS.
CREATE TABLE worklist_sources (
    name          TEXT PRIMARY KEY,
    rank          INTEGER NOT NULL,               -- of two that bring the same step the lowest counts
    succeeded     REAL NOT NULL DEFAULT 0,        -- when it was last renewed,
    due           REAL NOT NULL DEFAULT 0,        -- and until when that is believed
    failing_since REAL NOT NULL DEFAULT 0,        -- 0: the last try succeeded
    error         TEXT NOT NULL DEFAULT '',       -- of the last try
    problems      TEXT NOT NULL DEFAULT '[]'      -- JSON: what of it could not be taken
) STRICT, WITHOUT ROWID;
CREATE TABLE worklist_steps (
    source           TEXT NOT NULL REFERENCES worklist_sources ON DELETE CASCADE,
    key              TEXT NOT NULL,               -- Study Instance UID and step ID, or else a digest
    study_uid        TEXT NOT NULL,
    step_id          TEXT NOT NULL,
    accession_number TEXT NOT NULL,
    day              TEXT NOT NULL,               -- YYYYMMDD; of a step without one, when it came
    time             TEXT NOT NULL,
    attributes       TEXT NOT NULL,               -- DICOM JSON
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX worklist_steps_by_day ON worklist_steps (day, time);
CREATE INDEX worklist_steps_by_accession ON worklist_steps (accession_number);
CREATE TABLE worklist_states (
    study_uid TEXT NOT NULL,
    step_id   TEXT NOT NULL,                      -- empty: all of the study
    state     TEXT NOT NULL,                      -- Performed Procedure Step Status
    since     REAL NOT NULL,
    PRIMARY KEY (study_uid, step_id)
) STRICT, WITHOUT ROWID;
