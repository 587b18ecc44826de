-- From version 16: people are narrowed as tokens are.

ALTER TABLE users ADD COLUMN scope TEXT NOT NULL DEFAULT '{}';       -- what is left of the role, JSON
ALTER TABLE identities ADD COLUMN scope TEXT NOT NULL DEFAULT '{}';  -- likewise, here
