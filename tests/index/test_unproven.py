"""What no archive is proven to have, packed for a backup."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from edge.dicom.instance import Custody
from edge.errors import SealBroken
from edge.index import instances, unproven

MANY = 3000
NAME = ("PN", {"Alphabetic": "NOBODY^REAL"})


async def packed(database):
    return await database.write(unproven.take)


@pytest.fixture
def many(database, new_instance):
    """Puts the instances of three series, one of each by turns; their SOP Instance UIDs."""

    async def call(count):
        uid = random.Random(5).getrandbits
        new = [
            new_instance(
                series=f"1.2.3.{number % 3}",
                sop=f"1.2.826.0.1.3680043.8.498.{uid(124)}",
                t00100010=NAME,
                t00081030=("LO", "thorax with contrast " * 3),
                t0008103E=("LO", f"series {number % 3}"),
            )
            for number in range(count)
        ]

        def put(db):
            for one in new:
                instances.put(db, one, 5.0)

        await database.write(put)
        return [one.ref.sop_uid for one in new]

    return call


async def test_each_comes_back_with_its_series(database, many, new_instance):
    uids = await many(9)
    proven = new_instance(sop="1.1", custody=Custody.VERIFIED)
    await database.write(lambda db: instances.put(db, proven, 5.0))
    found = list(unproven.unpack(await packed(database)))
    assert [one.instance.sop_uid for one in found] == uids
    assert [one.series.series_uid for one in found] == ["1.2.3.0", "1.2.3.1", "1.2.3.2"] * 3
    assert len({id(one.series) for one in found}) == 3, "each is there once"
    assert all("NOBODY^REAL" in one.series.study for one in found)
    assert "series 2" in found[2].series.attributes
    for one in found:
        known = await database.write(
            lambda db, one=one: unproven.described(db, one.instance.sop_uid)
        )
        assert known.series == one.series
        assert known.instance.dataset_digest == one.instance.dataset_digest


async def test_nothing_is_packed_too(database):
    assert list(unproven.unpack(await packed(database))) == []


async def test_many_take_little_memory(database, many):
    """A month without a line is 200,000 of them, on a machine of 1 GiB."""
    await many(MANY)
    tracemalloc.start()
    try:
        data = await packed(database)
        taking = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(1 for _ in unproven.unpack(data)) == MANY
        unpacking = tracemalloc.get_traced_memory()[1] - len(data)
    finally:
        tracemalloc.stop()
    assert len(data) < 150 * MANY
    assert taking < 300 * MANY
    assert unpacking < 300 * MANY


@pytest.mark.parametrize("name", ["empty", "cut", "cut within", "no series", "other"])
async def test_what_is_damaged_is_said_so(database, many, name):
    await many(40)
    data = await packed(database)
    plain = zlib.decompress(data)
    length = 4 + int.from_bytes(plain[:4])
    damaged = {
        "empty": b"",
        "cut": data[:-20],
        "cut within": zlib.compress(plain[:-5]),
        "no series": zlib.compress(plain[length:]),
        "other": zlib.compress(b"\0\0\0\1\xc0"),
    }[name]
    with pytest.raises(SealBroken, match="can't be understood"):
        list(unproven.unpack(damaged))
