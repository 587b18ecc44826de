-- From version 19: a study that is shared by a link.

-- Studies that were shared by a link: whoever has its secret sees the one study until then. A link
-- goes with its study, and with what its maker may do: once they are disabled or narrowed, it is gone.
CREATE TABLE links (
    link_id     TEXT PRIMARY KEY,                 -- to be shown, and no secret
    digest      BLOB NOT NULL UNIQUE,
    study_uid   TEXT NOT NULL,
    maker       TEXT NOT NULL,                    -- a user, or somebody of identities
    note        TEXT NOT NULL,                    -- for whom, in the maker's words
    scope       TEXT NOT NULL,                    -- what who opens it may, JSON
    created     REAL NOT NULL,
    until       REAL NOT NULL,
    opened      INTEGER NOT NULL DEFAULT 0,       -- so many times
    last_opened REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_study ON links (study_uid);
CREATE INDEX links_by_maker ON links (maker);
CREATE TRIGGER links_of_no_study AFTER DELETE ON studies BEGIN
    DELETE FROM links WHERE study_uid = old.study_uid;
END;
CREATE TRIGGER links_of_user AFTER UPDATE OF state, role, scope ON users
WHEN old.state <> new.state OR old.role <> new.role OR old.scope <> new.scope BEGIN
    DELETE FROM links WHERE maker = new.name;
END;
CREATE TRIGGER links_of_no_user AFTER DELETE ON users BEGIN
    DELETE FROM links WHERE maker = old.name;
END;
CREATE TRIGGER links_of_identity AFTER UPDATE OF state, role, scope, vouched ON identities
WHEN old.state <> new.state OR old.role <> new.role OR old.scope <> new.scope
    OR (old.vouched > 0 AND new.vouched = 0) -- the issuer vouches for them no longer
BEGIN
    DELETE FROM links WHERE maker = new.name;
END;
CREATE TRIGGER links_of_no_identity AFTER DELETE ON identities BEGIN
    DELETE FROM links WHERE maker = old.name;
END;
