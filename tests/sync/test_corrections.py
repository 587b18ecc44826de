"""Verifying what an archive wrote anew to correct patient or study."""

from __future__ import annotations

import dataclasses
import io

import pydicom
import pytest

from edge import config
from edge.dicom.essence import Likeness
from edge.dicom.instance import Custody
from edge.errors import InstanceNotFound
from edge.sync.corrections import CORRECTED, Corrections, as_corrected
from edge.sync.verify import Verify
from tests import samples
from tests.fakes.cache import dataset_digest
from tests.sync.conftest import SETTINGS

ACKNOWLEDGED, VERIFIED, CONFLICT = Custody.ACKNOWLEDGED, Custody.VERIFIED, Custody.CONFLICT


@pytest.fixture
def verify(ledger, retrieval, archive, link, changes):
    corrections = Corrections(retrieval)
    return Verify(ledger, archive, link, changes, SETTINGS, corrections=corrections)


@pytest.fixture
def there(ledger, cloud, slices):
    """Six instances that the archive said yes to, and has."""
    for part in slices:
        cloud.put(part.data)
    ledger.put(slices, ACKNOWLEDGED)
    return slices


def edited(part10, **replaced):
    dataset = pydicom.dcmread(io.BytesIO(part10))
    for keyword, value in replaced.items():
        setattr(dataset, keyword, value)
    target = io.BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def corrected(part10, patient_id="SYN-CORRECTED"):
    return edited(part10, PatientID=patient_id, PatientName="Synthetic^Corrected")


def again(ledger):
    """Have all of them verified once more."""
    for row in ledger.rows.values():
        row.owed = dataclasses.replace(row.owed, custody=ACKNOWLEDGED)


async def test_a_correction_is_verified_with_a_word(verify, ledger, cloud, there, caplog):
    caplog.set_level("INFO")
    theirs = [corrected(part.data) for part in there]
    for data in theirs:
        cloud.put(data)
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    rows = list(ledger.rows.values())
    assert [row.owed.corrected for row in rows] == list(map(dataset_digest, theirs))
    assert {row.reason for row in rows} == {CORRECTED}
    assert "wrote instances anew to correct patient or study; ours stay: 6" in caplog.text
    assert "SYN-CORRECTED" not in caplog.text


async def test_what_was_seen_once_is_read_once_from_then_on(verify, ledger, cloud, there):
    for part in there:
        cloud.put(corrected(part.data))
    await verify.step()
    cloud.requests.clear()
    again(ledger)
    for row in ledger.rows.values():
        row.reason = ""
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    assert {row.reason for row in ledger.rows.values()} == {CORRECTED}
    assert len(cloud.requests) == 2


async def test_what_a_feed_says_was_replaced_is_read_once(verify, ledger, cloud, there):
    for part in there:
        cloud.put(corrected(part.data))
    for row in ledger.rows.values():
        row.reason = "the archive says that it was replaced"
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    assert len(cloud.requests) == 2


async def test_what_differs_beside_a_correction_is_a_conflict_and_touches_no_other(
    verify, ledger, cloud, there
):
    for part in there:
        cloud.put(corrected(part.data))
    cloud.put(edited(there[2].data, PatientID="X", PatientComments="changed by the archive"))
    pixels = bytearray(pydicom.dcmread(io.BytesIO(there[4].data)).PixelData)
    pixels[7] ^= 1
    cloud.put(edited(there[4].data, PatientID="X", PixelData=bytes(pixels)))
    await verify.step()
    assert ledger.custodies == [VERIFIED, VERIFIED, CONFLICT, VERIFIED, CONFLICT, VERIFIED]
    assert ledger.of(there[2].ref).owed.corrected is None


async def test_of_a_sample_that_was_corrected_the_rest_is_read_back_too(
    ledger, retrieval, archive, link, changes, cloud
):
    settings = config.Sync(verify="sample", retry_min_seconds=0.04)
    corrections = Corrections(retrieval)
    verify = Verify(ledger, archive, link, changes, settings, corrections=corrections)
    parts = list(samples.ct_series(30, rows=8, columns=8))
    theirs = [corrected(part.data) for part in parts]
    for data in theirs:
        cloud.put(data)
    ledger.put(parts, ACKNOWLEDGED)
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    known = [row.owed.corrected for row in ledger.rows.values()]
    assert known == list(map(dataset_digest, theirs))  # each of them may come back


async def test_one_of_ours_that_cannot_be_read_is_looked_at_later(
    verify, ledger, cloud, retrieval, there
):
    cloud.put(corrected(there[1].data))
    retrieval.broken[there[1].ref] = InstanceNotFound("it is not here")
    await verify.step()
    assert ledger.custodies.count(VERIFIED) == 5
    row = ledger.of(there[1].ref)
    assert (row.owed.custody, row.owed.tries) == (ACKNOWLEDGED, 1)
    assert "not here" in row.reason


async def test_without_anybody_to_compare_a_correction_is_a_conflict(
    ledger, archive, link, changes, cloud, there
):
    cloud.put(corrected(there[0].data))
    await Verify(ledger, archive, link, changes, SETTINGS).step()
    assert ledger.custodies.count(CONFLICT) == 1


def likeness(data):
    seen = Likeness()
    seen.update(data)
    return seen


async def test_nothing_but_the_bytes_that_were_sent_is_compared(ledger, retrieval, slices):
    ledger.put(slices[:1], ACKNOWLEDGED)
    [row] = ledger.rows.values()
    one, seen = row.owed, likeness(corrected(slices[0].data))

    async def is_ours(digest):
        compare = Corrections(retrieval).is_ours
        return await compare(one.instance_id, one.ref, one.size, digest, seen)

    assert await is_ours(one.dataset_digest)
    row.data = corrected(row.data)
    assert not await is_ours(one.dataset_digest)


def test_what_is_settled_remembers_what_the_archive_has(slices):
    theirs = corrected(slices[0].data)
    settlement = as_corrected(7, likeness(theirs))
    assert (settlement.instance_id, settlement.custody) == (7, VERIFIED)
    assert settlement.corrected == dataset_digest(theirs)
