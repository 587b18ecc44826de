"""What the index remembers of the audit, and whose studies it knows."""

from __future__ import annotations

import pytest

from edge.index.audit import AuditTable
from edge.index.database import Database


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield database


async def test_the_head_only_grows(database):
    table = AuditTable(database)
    assert await table.head() == (0, b"")
    await table.set_head(7, b"\x01\x02")
    await table.set_head(6, b"\x03")
    assert await table.head() == (7, b"\x01\x02")


async def test_that_it_was_damaged_is_kept(database):
    assert await AuditTable(database).damage() == ""
    await AuditTable(database).set_damage('{"what": "x"}')
    assert await AuditTable(database).damage() == '{"what": "x"}'


async def test_studies_that_are_known_name_their_patients(database):
    def fill(db):
        db.execute(
            "INSERT INTO studies (id, study_uid, patient_id, accession_number, created)"
            " VALUES (1, '1.2', '4711', 'A1', 0), (2, '1.3', '', '', 0)"
        )
        db.execute(
            "INSERT INTO study_attributes VALUES (1,"
            ' \'{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Nobody^A"}]}}\')'
        )

    await database.write(fill)
    found = await AuditTable(database).subjects([f"1.{number}" for number in range(1200)])
    assert found == {"1.2": ("4711", "Nobody^A", "A1"), "1.3": ("", "", "")}
