-- From version 4: what is edited in the archive.

-- What was edited before was not heeded: every study is looked at once more.
UPDATE studies SET fingerprint = '';
CREATE TABLE said (
    study_id   INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    attributes TEXT NOT NULL
) STRICT;
CREATE TABLE overlays (
    study_id   INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    attributes TEXT NOT NULL,
    original   TEXT NOT NULL,
    edition    TEXT NOT NULL
) STRICT;
CREATE TABLE edits (
    study_id  INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    at        REAL NOT NULL,
    archive   TEXT NOT NULL,
    before    TEXT NOT NULL,
    after     TEXT NOT NULL,
    announced INTEGER,
    PRIMARY KEY (study_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX edits_to_announce ON edits (study_id) WHERE announced IS NOT NULL;
