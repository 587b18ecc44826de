-- From version 9: the DICOM services.

-- DICOM peers that a person approved, beside those of the configuration, which win.
CREATE TABLE peers (
    ae_title         TEXT PRIMARY KEY,
    host             TEXT NOT NULL,               -- that it must call from; '' for any
    port             INTEGER NOT NULL,
    may              TEXT NOT NULL,               -- rights, between spaces
    name             TEXT NOT NULL DEFAULT '',
    tls              INTEGER NOT NULL DEFAULT 0,  -- whether we speak it when we call
    certificate      TEXT NOT NULL DEFAULT '',    -- that it must show over TLS
    max_associations INTEGER NOT NULL DEFAULT 0,  -- 0: no limit of its own
    approved         REAL NOT NULL,
    who              TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Who called and is no peer, where they are listed. Bounded by `cache.strangers`.
CREATE TABLE strangers (
    ae_title    TEXT NOT NULL,
    host        TEXT NOT NULL,                    -- the address that it called from
    called      TEXT NOT NULL,                    -- the AE title that it called
    services    TEXT NOT NULL,                    -- that it asked for, between commas
    why         TEXT NOT NULL,                    -- it was refused
    certificate TEXT NOT NULL DEFAULT '',         -- SHA-256 of the one that it showed
    first_seen  REAL NOT NULL,
    last_seen   REAL NOT NULL,
    calls       INTEGER NOT NULL,
    PRIMARY KEY (ae_title, host)
) STRICT, WITHOUT ROWID;

-- Trouble with associations, and those without any (kind 'fine'). Bounded by `cache.associations`.
CREATE TABLE associations (
    direction      TEXT NOT NULL,                 -- 'in': it called; 'out': we called it
    ae_title       TEXT NOT NULL,                 -- the other's; '' before it said one
    host           TEXT NOT NULL,                 -- its address, as far as it is known
    kind           TEXT NOT NULL,
    about          TEXT NOT NULL,                 -- tells several of one kind apart
    known          INTEGER NOT NULL,              -- whether it is a peer
    called         TEXT NOT NULL,                 -- the AE title that was called, last
    implementation TEXT NOT NULL,                 -- its Implementation Version Name, last
    what           TEXT NOT NULL,                 -- a sentence
    changes        TEXT NOT NULL,                 -- JSON: what to change, on which side
    contexts       TEXT NOT NULL,                 -- JSON: presentation contexts refused, last
    first_seen     REAL NOT NULL,
    last_seen      REAL NOT NULL,
    times          INTEGER NOT NULL,
    PRIMARY KEY (direction, ae_title, host, kind, about)
) STRICT, WITHOUT ROWID;

-- What peers asked us to vouch for (storage commitment, PS3.4 J). A transaction is decided once each of
-- its instances is, and over once the peer has heard it. What is known of instances stands in their rows.
CREATE TABLE commitments (
    id              INTEGER PRIMARY KEY,
    peer            TEXT NOT NULL,                -- AE title of who asked
    transaction_uid TEXT NOT NULL,
    asked           REAL NOT NULL,
    instances       INTEGER NOT NULL,             -- how many it is about
    place           INTEGER NOT NULL DEFAULT 0,   -- of the first that was not decided, when last seen
    decided         REAL NOT NULL DEFAULT 0,      -- since when it can be reported; 0 before
    tries           INTEGER NOT NULL DEFAULT 0,   -- reports that did not get through
    retry_at        REAL NOT NULL DEFAULT 0,
    reason          TEXT NOT NULL DEFAULT '',     -- why the last one did not
    outcome         TEXT NOT NULL DEFAULT '',     -- REPORTED, GIVEN_UP; '' before
    ended           REAL NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,   -- instances that were reported as not committed
    UNIQUE (peer, transaction_uid)
) STRICT;
CREATE INDEX commitments_open ON commitments (peer, decided, retry_at) WHERE outcome = '';
CREATE INDEX commitments_ended ON commitments (ended) WHERE outcome <> '';
CREATE TABLE commitment_items (
    commitment_id INTEGER NOT NULL REFERENCES commitments ON DELETE CASCADE,
    place         INTEGER NOT NULL,               -- counts from 0
    sop_class_uid TEXT NOT NULL,
    sop_uid       TEXT NOT NULL,
    PRIMARY KEY (commitment_id, place)
) STRICT, WITHOUT ROWID;

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
