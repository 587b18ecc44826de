"""What must be true once all is healed and nothing moves any more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.box import Box

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["check_end", "check_recovered"]


def check_recovered(box: Box) -> None:
    """A start never misses an object that the index names."""
    found = box.recovered
    assert not found.lost, f"{box.name}: {found.lost} objects are lost"
    assert not found.fetchable, f"{box.name}: {found.fetchable} objects are gone"
    assert not found.unreadable, f"{box.name}: {found.unreadable} can't be read"


async def check_end(simulation: Simulation) -> None:
    """All of it.

    Raises:
        AssertionError: Something is not as it must be.
    """
    for box in simulation.boxes:
        await box.restart()
        check_recovered(box)
        await _check_objects(box)
        await _check_custody(simulation, box)
        await _check_listed(simulation, box)
    await _check_acknowledged(simulation)


async def _check_objects(box: Box) -> None:
    """Each object is named once, and none is stored that nobody names."""
    rows, aside = await box.rows(), await box.aside()
    named = [row["object"] for row in rows.values() if row["object"] is not None]
    named += [name for kept in aside.values() for _, name in kept]
    assert Counter(await box.objects()) == Counter(named), f"{box.name}: objects are not as named"


async def _check_custody(simulation: Simulation, box: Box) -> None:
    """What is here is verified, or it is known why not."""
    cloud = simulation.cloud
    changed = simulation.may_be_gone | simulation.disputed | cloud.replaced | simulation.unseen
    for uid, row in (await box.rows()).items():
        there = cloud.copies.get(uid)
        words = f"{box.name}: {uid} is {row['availability']} and {row['custody']} ({row['reason']})"
        if row["availability"] == "UNAVAILABLE":
            assert uid in changed, words
            continue
        if row["availability"] == "NEARLINE":
            digest = row["dataset_digest"]
            same = there is not None and digest in (None, there.digest)
            assert same or uid in changed, f"{words}; the archive does not have it so"
            continue
        match row["custody"]:
            case "VERIFIED":
                same = there is not None and there.digest == row["dataset_digest"]
                assert same or uid in changed, f"{words}; the archive does not have it so"
            case "REFUSED" | "SENT" | "EDGE_ONLY" if uid in cloud.refused:
                pass
            case "CONFLICT":
                other = there is not None and there.digest != row["dataset_digest"]
                assert other or uid in changed, f"{words}; the archive has the same"
            case _:
                raise AssertionError(words)


async def _check_listed(simulation: Simulation, box: Box) -> None:
    """What the archive lists the box lists, less what was deleted here; and the other way round."""
    rows, tombstones = await box.rows(), await box.tombstones()
    there = set(simulation.cloud.copies)
    missing = there - set(rows) - set(tombstones)
    assert not missing, f"{box.name} does not list what the archive has: {sorted(missing)}"
    assert not set(rows) & set(tombstones), f"{box.name} lists what is deleted"
    hidden = {uid for uid, row in rows.items() if row["withheld"] == "TRASH"}
    assert not hidden & there, f"{box.name} hides what the archive has: {sorted(hidden & there)}"
    unsettled = {uid for uid, row in rows.items() if row["custody"] in ("REFUSED", "CONFLICT")}
    refused = set(simulation.cloud.refused)
    more = set(rows) - there - unsettled - simulation.may_be_gone - simulation.disputed - refused
    assert not more, f"{box.name} lists what the archive does not have: {sorted(more)}"
    due = [uid for uid, withdrawal in tombstones.items() if withdrawal == "DUE"]
    # One that deletes nothing is asked again at each start.
    assert not due or not simulation.cloud.deletes, (
        f"{box.name} never told the archive to delete {due}"
    )


async def _check_acknowledged(simulation: Simulation) -> None:
    """Whatever a device was told is safe is somewhere, with its bytes, unless it was deleted."""
    cloud = simulation.cloud
    here: dict[tuple[str, bytes], str] = {}
    for box in simulation.boxes:
        for uid, row in (await box.rows()).items():
            if row["object"] is not None:
                data = await box.read_object(row["object"])
                known = (uid, row["dataset_digest"])
                here[known] = box.name
                assert data in simulation.bytes_of(uid), f"{box.name}: {uid} has strange bytes"
        for uid, kept in (await box.aside()).items():
            for digest, name in kept:
                assert await box.read_object(name) in simulation.bytes_of(uid)
                here[uid, digest] = box.name
    for number, one in enumerate(simulation.acknowledged):
        uid, digest = one.copy.sop_uid, one.copy.digest
        there = cloud.copies.get(uid)
        if (uid, digest) in here or (there is not None and there.digest == digest):
            continue
        if number in simulation.thrown_away or uid in simulation.unseen:
            continue
        was_there = (uid, digest) in cloud.ever
        words = f"{uid} ({digest.hex()[:4]}), acknowledged by {one.box}, is nowhere"
        assert was_there, f"{words}, and never was in the archive"
        assert uid in simulation.may_be_gone | cloud.replaced | simulation.disputed, words
