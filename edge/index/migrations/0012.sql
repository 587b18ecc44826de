-- From version 11: what is deleted here is listed in the archive whole again, once in a while.

ALTER TABLE tombstones ADD COLUMN listed REAL NOT NULL DEFAULT 0;
