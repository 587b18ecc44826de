-- From version 15: people for whom an identity provider vouches.

-- People for whom an identity provider vouches (OpenID Connect), by what it calls them.
CREATE TABLE identities (
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    name         TEXT NOT NULL UNIQUE,            -- what they are called here; no user is called so
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,                   -- as the issuer had it last
    state        TEXT NOT NULL DEFAULT 'active',  -- or disabled, here
    vouched      REAL NOT NULL,                   -- when the issuer said last who they are; 0: no more
    refresh      BLOB,                            -- sealed: by which it is asked again
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
