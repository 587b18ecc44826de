"""What the tests of the index share: true counters, and an archive's listing."""

from __future__ import annotations

from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy


async def counters_are_true(database):
    """Every counter that a trigger keeps, compared with what it counts."""
    rows = await database.read(
        "SELECT s.id FROM studies s WHERE"
        " s.series_count <> (SELECT count(*) FROM series e WHERE study_id = s.id"
        " AND id NOT IN (SELECT series_id FROM hidden_series))"
        " OR s.instance_count <> (SELECT count(*) FROM instances WHERE study_id = s.id"
        " AND withheld = '')"
        " OR s.online_count <> (SELECT count(*) FROM instances WHERE study_id = s.id"
        " AND availability = 'ONLINE' AND withheld = '')"
        " OR s.edge_only_count <> (SELECT count(*) FROM instances WHERE study_id = s.id"
        " AND custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))"
    )
    rows += await database.read(
        "SELECT e.id FROM series e WHERE e.instance_count <> (SELECT count(*) FROM instances"
        " WHERE series_id = e.id AND withheld = '')"
        " OR (e.id IN (SELECT series_id FROM hidden_series)) <> (e.instance_count = 0"
        " AND EXISTS (SELECT 1 FROM instances WHERE series_id = e.id))"
    )
    rows += await database.read(
        "SELECT s.id FROM studies s WHERE (s.id IN (SELECT study_id FROM hidden_studies))"
        " <> (s.instance_count = 0 AND EXISTS (SELECT 1 FROM instances WHERE study_id = s.id))"
    )
    total = await database.read(
        "SELECT sealed_bytes - (SELECT coalesce(sum(sealed_bytes), 0) FROM instances)"
        " - (SELECT coalesce(sum(sealed_bytes), 0) FROM quarantine) FROM totals"
    )
    return rows == [] and total == [(0,)]


def listed(*sops, study="1.2.3", series="1.2.3.1"):
    return RemoteStudy(
        study,
        "fingerprint",
        {"00100020": {"vr": "LO", "Value": ["P1"]}},
        (
            RemoteSeries(
                series,
                {"00080060": {"vr": "CS", "Value": ["CT"]}},
                tuple(RemoteInstance(sop, "1.2.840.10008.5.1.4.1.1.2", {}) for sop in sops),
            ),
        ),
    )
