-- From version 12: tokens end, are narrowed, and it is known when they were used. Those that were there
-- before go on as they were made.

ALTER TABLE tokens ADD COLUMN expires REAL;
ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tokens ADD COLUMN used_day TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN used_from TEXT NOT NULL DEFAULT '';
