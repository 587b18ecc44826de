-- From version 18: the history of days, as far as it can be told of what is known.

-- What came and what became safe, counted by quarters of an hour: days begin where the box stands.
CREATE TABLE history (
    quarter    INTEGER PRIMARY KEY,               -- since 1970
    came       INTEGER NOT NULL DEFAULT 0,        -- instances, from devices and people
    came_bytes INTEGER NOT NULL DEFAULT 0,
    safe       INTEGER NOT NULL DEFAULT 0,        -- the archive was seen to have them
    safe_bytes INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TRIGGER history_came AFTER INSERT ON instances
WHEN new.origin <> 'CLOUD' AND new.availability = 'ONLINE'
BEGIN
    INSERT INTO history (quarter, came, came_bytes)
        VALUES (CAST(new.received / 900 AS INTEGER), 1, new.content_bytes)
        ON CONFLICT (quarter) DO UPDATE
        SET came = came + 1, came_bytes = came_bytes + excluded.came_bytes;
END;
CREATE TRIGGER history_safe AFTER UPDATE OF custody ON instances
WHEN new.custody = 'VERIFIED' AND old.custody <> 'VERIFIED' AND new.verified > 0
    AND new.origin <> 'CLOUD' AND new.availability = 'ONLINE'
BEGIN
    INSERT INTO history (quarter, safe, safe_bytes)
        VALUES (CAST(new.verified / 900 AS INTEGER), 1, new.content_bytes)
        ON CONFLICT (quarter) DO UPDATE
        SET safe = safe + 1, safe_bytes = safe_bytes + excluded.safe_bytes;
END;
CREATE TRIGGER history_refused AFTER UPDATE OF custody ON instances
WHEN new.custody = 'REFUSED' AND old.custody <> 'REFUSED'
BEGIN
    INSERT INTO history (quarter, refused) VALUES (unixepoch() / 900, 1)
        ON CONFLICT (quarter) DO UPDATE SET refused = refused + 1;
END;

INSERT INTO history (quarter, came, came_bytes)
    SELECT CAST(received / 900 AS INTEGER) AS quarter, count(*), sum(content_bytes) FROM instances
    WHERE origin <> 'CLOUD' AND availability = 'ONLINE' AND received > unixepoch() - 34560000
    GROUP BY quarter ORDER BY quarter;
INSERT INTO history (quarter, safe, safe_bytes)
    SELECT CAST(verified / 900 AS INTEGER) AS quarter, count(*), sum(content_bytes) FROM instances
    WHERE origin <> 'CLOUD' AND availability = 'ONLINE' AND custody = 'VERIFIED'
        AND verified > unixepoch() - 34560000
    GROUP BY quarter ORDER BY quarter
    ON CONFLICT (quarter) DO UPDATE
    SET safe = excluded.safe, safe_bytes = excluded.safe_bytes;
-- Behind them, for it would look at all of them with each.
CREATE TRIGGER history_kept AFTER INSERT ON history BEGIN
    DELETE FROM history WHERE quarter IN
        (SELECT quarter FROM history ORDER BY quarter DESC LIMIT -1 OFFSET 38400);
END;
