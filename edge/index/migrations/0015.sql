-- From version 14: which instances are, or were, sealed with a study key is found at once, so that it
-- ends with the last of them.

CREATE INDEX instances_by_key ON instances (key_id) WHERE key_id IS NOT NULL;
