-- From version 8: what an archive was last seen to have, and what it does not list any more.

-- What is swept of an archive: every study that it lists, again and again. A sweep that is complete
-- has met whatever was there from its beginning to its end.
CREATE TABLE sweeps (
    archive    TEXT PRIMARY KEY,
    number     INTEGER NOT NULL,                  -- of the one that is under way
    began      REAL NOT NULL,                     -- when that did,
    before     REAL NOT NULL,                     -- the one before it,
    earlier    REAL NOT NULL,                     -- and the one before that
    examined   INTEGER NOT NULL DEFAULT 0,        -- the last one of which the absences were examined
    gone       INTEGER NOT NULL DEFAULT 0,        -- studies that were taken for deleted there,
    gone_since REAL NOT NULL DEFAULT 0,           -- on the day that began then
    lost       INTEGER NOT NULL DEFAULT 0,        -- instances that it was seen to have lost,
    lost_at    REAL NOT NULL DEFAULT 0            -- the last of them then
) STRICT, WITHOUT ROWID;

-- When an archive was last seen to have a study. Rows are narrow, for each sweep writes all of them.
CREATE TABLE sightings (
    study_id INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    archive  TEXT NOT NULL,
    sweep    INTEGER NOT NULL,                    -- the last one that listed it
    reviewed REAL NOT NULL,                       -- when each of its instances was last asked about
    PRIMARY KEY (study_id, archive)
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_by_review ON sightings (archive, reviewed);

-- Studies that the primary archive does not list any more, or not all of them.
CREATE TABLE absences (
    study_id INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    state    TEXT NOT NULL,                       -- SUSPECTED, HELD for a person, who said TRASH or AGAIN
    is_whole INTEGER NOT NULL,                    -- the study is not listed at all
    sweep    INTEGER NOT NULL,                    -- in which it was suspected
    since    REAL NOT NULL
) STRICT;
