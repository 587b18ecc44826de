-- From version 9: DICOM services.

-- Performed procedure steps ---------------------------------------------------------------------------

-- What devices say of the steps that they perform (MPPS, PS3.4 F.7).
CREATE TABLE procedures (
    id         INTEGER PRIMARY KEY,
    sop_uid    TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL,                     -- IN PROGRESS, COMPLETED, DISCONTINUED
    attributes BLOB NOT NULL,                     -- DICOM JSON, deflated
    peer       TEXT NOT NULL,                     -- AE title of who made it
    created    REAL NOT NULL,
    changed    REAL NOT NULL,
    told       TEXT NOT NULL                      -- AE titles that are told of it, a JSON list
) STRICT;
CREATE INDEX procedures_by_time ON procedures (changed);
CREATE TABLE procedure_studies (
    study_uid    TEXT NOT NULL,
    procedure_id INTEGER NOT NULL REFERENCES procedures ON DELETE CASCADE,
    PRIMARY KEY (study_uid, procedure_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_by_procedure ON procedure_studies (procedure_id);
-- The instances that they made, whether these are here or not.
CREATE TABLE procedure_instances (
    procedure_id INTEGER NOT NULL REFERENCES procedures ON DELETE CASCADE,
    sop_uid      TEXT NOT NULL,
    PRIMARY KEY (procedure_id, sop_uid)
) STRICT, WITHOUT ROWID;

-- Studies that come in, or did. The cursor `arrivals` says how far the changes were looked through.
CREATE TABLE arrivals (
    study_uid TEXT PRIMARY KEY,
    since     REAL NOT NULL,                      -- when the first came of what came last,
    latest    REAL NOT NULL,                      -- when the last did, or a step was changed
    fresh     INTEGER NOT NULL,                   -- instances that came since it was complete
    complete  REAL NOT NULL DEFAULT 0             -- since when it is; 0: it comes in
) STRICT, WITHOUT ROWID;
CREATE INDEX arrivals_under_way ON arrivals (latest) WHERE complete = 0;

-- What peers are told, in the order of the ids: those of one SOP instance never overtake each other.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    peer          TEXT NOT NULL,                  -- AE title
    operation     TEXT NOT NULL,                  -- N-CREATE, N-SET
    sop_class_uid TEXT NOT NULL,
    sop_uid       TEXT NOT NULL,
    study_uid     TEXT NOT NULL DEFAULT '',       -- whose availability it says; made when it is sent
    attributes    BLOB,                           -- DICOM JSON, deflated; NULL once it is done
    queued        REAL NOT NULL,
    state         TEXT NOT NULL DEFAULT 'DUE',    -- DUE, SENT (whether it came is not known), DONE, REFUSED, DROPPED
    tries         INTEGER NOT NULL DEFAULT 0,
    retry_at      REAL NOT NULL DEFAULT 0,
    ended         REAL NOT NULL DEFAULT 0,
    reason        TEXT NOT NULL DEFAULT ''        -- the peer's own words
) STRICT;
CREATE INDEX outbox_by_instance ON outbox (peer, sop_uid, id);
CREATE INDEX outbox_waiting ON outbox (peer, id) WHERE state IN ('DUE', 'SENT');
CREATE INDEX outbox_ended ON outbox (ended) WHERE state IN ('DONE', 'REFUSED', 'DROPPED');
CREATE TABLE outbox_peers (
    peer     TEXT PRIMARY KEY,                    -- one that could not be told something
    since    REAL NOT NULL,
    tries    INTEGER NOT NULL,
    retry_at REAL NOT NULL,
    reason   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
