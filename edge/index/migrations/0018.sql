-- From version 17: emergency access.

-- Who opened everything to read, for a while, and why (`edge.access.emergency`).
CREATE TABLE emergencies (
    emergency_id TEXT PRIMARY KEY,                -- the record names it; no secret
    session_id   TEXT NOT NULL,                   -- for which it is, and with which it ends
    name         TEXT NOT NULL,
    issuer       TEXT NOT NULL,                   -- who vouches for them; '' if they are a user
    role         TEXT NOT NULL,
    address      TEXT NOT NULL,                   -- where it was begun from
    proved       TEXT NOT NULL,                   -- by what it was proved again who that is
    reason       TEXT NOT NULL,                   -- in their own words: it may name a patient
    began        REAL NOT NULL,
    until        REAL NOT NULL,                   -- its end, if nothing ends it before
    ended        REAL NOT NULL DEFAULT 0,         -- 0: it is open
    why_ended    TEXT NOT NULL DEFAULT '',
    told         INTEGER NOT NULL DEFAULT 0,      -- its end is in the record
    seen         REAL NOT NULL DEFAULT 0,         -- when an admin looked at it; 0: it is an alarm
    seen_by      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX emergencies_open ON emergencies (session_id) WHERE ended = 0;
