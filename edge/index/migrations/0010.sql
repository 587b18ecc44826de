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
