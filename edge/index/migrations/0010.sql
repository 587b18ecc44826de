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

-- From version 9: storage commitment.

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
