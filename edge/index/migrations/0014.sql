-- From version 13: people who may log in, and their sessions.

-- People who may log in, by the name that they type.
CREATE TABLE users (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,
    state        TEXT NOT NULL,                   -- invited, active or disabled
    password     TEXT NOT NULL DEFAULT '',        -- its Argon2id hash in PHC form; '' if there is none
    created      REAL NOT NULL,
    last_seen    REAL NOT NULL DEFAULT 0,         -- the last log-in; 0 if there was none
    known_from   TEXT NOT NULL DEFAULT '',        -- where they logged in lately, between spaces
    handle       BLOB NOT NULL UNIQUE,            -- random: what passkeys call them (WebAuthn 5.4.3)
    totp         BLOB,                            -- the shared secret (RFC 6238)
    totp_new     BLOB,                            -- one that is not confirmed yet
    totp_step    INTEGER NOT NULL DEFAULT 0       -- the last one that was used: none counts twice
) STRICT, WITHOUT ROWID;

-- One-time codes that were handed out: to be invited, or after a reset. Of a name that is empty: to
-- be the first admin.
CREATE TABLE codes (
    name   TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    until  REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What stands in for a second factor that is lost, once each.
CREATE TABLE recovery_codes (
    name   TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    digest BLOB NOT NULL,
    PRIMARY KEY (name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    credential_id BLOB PRIMARY KEY,
    name          TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    label         TEXT NOT NULL,                  -- what its holder calls it
    rp_id         TEXT NOT NULL,                  -- the name of the box that it was made for
    public_key    BLOB NOT NULL,                  -- as COSE
    sign_count    INTEGER NOT NULL,
    created       REAL NOT NULL,
    last_used     REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_name ON passkeys (name);

-- Who is logged in, by the digest of what their browser shows.
CREATE TABLE sessions (
    digest     BLOB PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,              -- to be shown, and no secret
    name       TEXT NOT NULL,
    issuer     TEXT NOT NULL,                     -- who vouches for them; '' if they are a user
    role       TEXT NOT NULL,                     -- as the issuer has it; of a user, that of users counts
    proved     TEXT NOT NULL,                     -- by what, as edge.access.sessions has it
    began      REAL NOT NULL,
    used       REAL NOT NULL,
    until      REAL NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_name ON sessions (name);
