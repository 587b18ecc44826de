"""What is written to the disk: all that waits, in order, once; and what a cut leaves behind."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess

import pytest

from edge.cache import packing as module
from edge.cache.bundle import Bundle, bundles_on
from edge.cache.ledger import Settlement
from edge.cache.packing import Packing
from edge.cache.parts import PartReader, PartWriter
from edge.cache.statements import Complete, PartList, decoded
from edge.crypto.courier import PlaceKeys
from edge.crypto.sealed import Algorithm
from edge.dicom.instance import Custody
from edge.errors import EdgeError
from edge.index import lookup
from tests.fakes.courier import place
from tests.samples import ct_series, multiframe

HOSPITAL, OFFICE = place("hospital"), place("office")


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


@pytest.fixture
def pack(cache, disk):
    """Packs once, as one command does."""

    async def run(*, to=disk, recipients=(HOSPITAL,), part_bytes=2**20, say=None, **options):
        packing = Packing(
            cache.database,
            cache.store,
            PlaceKeys(cache.keys.derive),
            Algorithm.AES_256_GCM,
            box="clinic",
            recipients=[one.place for one in recipients],
            disk=to,
            part_bytes=part_bytes,
            say=say,
        )
        return await packing.pack(**options)

    return run


async def on(disk, cache, who=HOSPITAL):
    """What a recipient finds: (file, entry) of each instance, in the order of the lists."""
    return await asyncio.to_thread(_on, disk, cache, who)


def _on(disk, cache, who):
    found = []
    for bundle in bundles_on(disk):
        key = who.open_envelope(bundle.number, bundle.read("key"))
        believed = [PlaceKeys(cache.keys.derive).place]
        readers = {}
        for number in bundle.parts():
            name = f"{number:04}.list"
            _, content = key.stated(name, bundle.read(name), believed)
            for entry in decoded(content, PartList).entries:
                data = b""
                for part, offset, length in entry.pieces:
                    if part not in readers:
                        readers[part] = PartReader(bundle, part, key)
                    data += readers[part].read(offset, length)
                found.append((data, entry))
        for reader in readers.values():
            reader.close()
    return found


async def end_of(bundle, cache, who=HOSPITAL):
    return await asyncio.to_thread(_end_of, bundle, cache, who)


async def on_it(disk):
    """The bundles."""
    return await asyncio.to_thread(bundles_on, disk)


def _end_of(bundle, cache, who):
    key = who.open_envelope(bundle.number, bundle.read("key"))
    _, content = key.stated(
        "complete", bundle.read("complete"), [PlaceKeys(cache.keys.derive).place]
    )
    return decoded(content, Complete)


async def custody(cache):
    return dict(await cache.database.read("SELECT custody, count(*) FROM instances GROUP BY 1"))


async def test_all_that_waits_is_packed_byte_for_byte(cache, pack, disk):
    slices = list(ct_series(6, rows=256, columns=256))
    for one in slices:
        await cache.send(one)
    told = []
    packed = await pack(say=lambda images, size: told.append((images, size)))
    assert (packed.images, packed.left, packed.unreadable) == (6, 0, [])
    assert packed.parts == [1]
    found = await on(disk, cache)
    assert [data for data, _ in found] == [one.data for one in slices]
    row = await lookup.find_one(cache.database, slices[0].ref.sop_uid)
    entry = found[0][1]
    assert (entry.meta_digest, entry.dataset_digest) == (row.meta_digest, row.dataset_digest)
    assert (entry.ref, entry.size, entry.custody) == (row.ref, row.content_bytes, "EDGE_ONLY")
    assert told[-1][0] == 6
    (bundle,) = await on_it(disk)
    assert await end_of(bundle, cache) == Complete(1, (1,), 6, packed.bytes)
    assert await custody(cache) == {"EDGE_ONLY": 6}


async def test_parts_are_no_longer_than_told_and_a_long_instance_goes_over_several(
    cache, pack, disk
):
    small = list(ct_series(3, rows=256, columns=256))
    ref, pieces = multiframe(5 * 2**20)
    long = b"".join(pieces)
    for data in (small[0], long, *small[1:]):
        await cache.send(data)
    packed = await pack(part_bytes=2**20 * 2)
    assert packed.images == 4
    assert len(packed.parts) >= 4
    for path in disk.rglob("*.part"):
        assert path.stat().st_size < 2**20 * 2.1
    found = {entry.sop_uid: data for data, entry in await on(disk, cache)}
    assert found[ref.sop_uid] == long
    assert {one.data for one in small} == set(found.values()) - {long}


async def test_what_is_urgent_goes_first_and_a_small_disk_takes_that(cache, pack, disk):
    routine = list(ct_series(2, rows=256, columns=256, seed=1))
    urgent = list(ct_series(2, rows=256, columns=256, seed=2))
    for one in (*routine, *urgent):
        await cache.send(one)
    await cache.ledger.upload_first(urgent[0].ref.study_uid)
    packed = await pack(max_bytes=3 * (len(urgent[0].data) + 300_000))
    assert (packed.images, packed.left) == (3, 1)
    sizes = [entry.sop_uid for _, entry in await on(disk, cache)]
    assert sizes[:2] == [one.ref.sop_uid for one in urgent]
    # The next disk takes the rest.
    other = disk.with_name("other")
    other.mkdir()
    packed = await pack(to=other)
    assert (packed.images, packed.left) == (1, 0)
    assert [data for data, _ in await on(other, cache)] == [routine[1].data]


async def test_only_the_studies_that_were_named(cache, pack, disk):
    first, second = (next(ct_series(1, rows=16, columns=16, seed=seed)) for seed in (1, 2))
    for one in (first, second):
        await cache.send(one)
    assert (await pack(studies=["1.2.3"])).bundle == ""
    assert (await pack(studies=[second.ref.study_uid])).images == 1
    assert [data for data, _ in await on(disk, cache)] == [second.data]


async def test_what_is_on_its_way_is_packed_again_only_if_told_so(cache, pack, disk):
    (one,) = ct_series(1, rows=16, columns=16)
    await cache.send(one)
    first = await pack()
    again = await pack()
    assert (first.images, again.images, again.bundle) == (1, 0, "")
    assert (await pack(again=True)).images == 1
    assert len(await on_it(disk)) == 2


async def test_nothing_to_pack_leaves_nothing_on_the_disk(cache, pack, disk):
    (one,) = ct_series(1, rows=16, columns=16)
    await cache.send(one)
    row = await lookup.find_one(cache.database, one.ref.sop_uid)
    await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED)])
    assert (await pack()).bundle == ""
    assert list(disk.iterdir()) == []


async def test_a_dead_letter_is_not_packed_and_one_that_is_offered_again_is(cache, pack):
    slices = list(ct_series(2, rows=16, columns=16))
    for one, retry_at in zip(slices, (0.0, 1e12), strict=True):
        await cache.send(one)
        row = await lookup.find_one(cache.database, one.ref.sop_uid)
        refused = Settlement(row.instance_id, Custody.REFUSED, "no", retry_at)
        await cache.ledger.settle([refused])
    assert (await pack()).images == 1


async def test_an_instance_that_can_not_be_read_is_left_out_and_named(
    cache, pack, disk, sealed_files
):
    slices = list(ct_series(3, rows=512, columns=512))
    for one in slices:
        await cache.send(one)
    row = await lookup.find_one(cache.database, slices[1].ref.sop_uid)
    (path,) = [path for path in sealed_files() if path.name == row.object]
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    packed = await pack()
    assert packed.unreadable == [slices[1].ref.sop_uid]
    assert [data for data, _ in await on(disk, cache)] == [slices[0].data, slices[2].data]


# Cut short ----------------------------------------------------------------------------------------


class Cut(Exception):
    """The process ends here: nothing after it happens."""


def cut_at(monkeypatch, owner, name, call, *, after=False):
    """End the process at a call of something, before it or when it was done."""
    original, calls = getattr(owner, name), []

    def counted(*arguments, **named):
        calls.append(name)
        if len(calls) == call and not after:
            raise Cut
        result = original(*arguments, **named)
        if len(calls) == call:
            raise Cut
        return result

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize(
    ("owner", "name", "call", "after", "kept"),
    [
        (Bundle, "write", 1, False, 0),  # no envelope
        (Bundle, "write", 2, False, 0),  # one envelope
        (PartWriter, "write", 1, False, 0),
        (PartWriter, "write", 5, False, 2),  # in the middle of the second part
        (PartWriter, "finish", 2, False, 2),
        (PartWriter, "finish", 2, True, 2),  # a part without its list
        (Bundle, "write", 4, False, 2),
        (Bundle, "write", 4, True, 4),  # a list whose rows were not written
        (Bundle, "write", 6, False, 6),  # no end
    ],
)
async def test_a_run_that_was_cut_is_gone_on_with(
    cache, pack, disk, monkeypatch, owner, name, call, after, kept
):
    slices = list(ct_series(6, rows=256, columns=256))
    size = len(slices[0].data)
    for one in slices:
        await cache.send(one)
    # As a power cut leaves it: nothing is cleaned up.
    monkeypatch.setattr(Packing, "_abandon", lambda self: None)
    cut_at(monkeypatch, owner, name, call, after=after)
    with pytest.raises(Cut):
        await pack(part_bytes=2 * size)
    monkeypatch.undo()
    left = {path.name for path in disk.rglob("0*")}
    packed = await pack(part_bytes=2 * size)
    assert packed.resumed == bool(kept)
    assert (packed.images, packed.left) == (6, 0)
    assert not list(disk.rglob("*.new"))
    found = await on(disk, cache)
    assert sorted(data for data, _ in found) == sorted(one.data for one in slices)
    (bundle,) = await on_it(disk)
    assert (await end_of(bundle, cache)).instances == 6
    assert len(left) >= kept  # two instances a part: a part, and its list
    assert (await pack()).bundle == ""


async def test_half_of_a_long_instance_is_of_no_use_and_is_swept(cache, pack, disk, monkeypatch):
    (small,) = ct_series(1, rows=16, columns=16)
    ref, pieces = multiframe(5 * 2**20)
    long = b"".join(pieces)
    await cache.send(small)
    await cache.send(long)
    monkeypatch.setattr(Packing, "_abandon", lambda self: None)
    cut_at(monkeypatch, PartWriter, "finish", 4)
    with pytest.raises(Cut):
        await pack()
    monkeypatch.undo()
    packed = await pack()
    assert (packed.resumed, packed.images) == (True, 2)
    assert {entry.sop_uid: data for data, entry in await on(disk, cache)}[ref.sop_uid] == long
    assert sum(path.stat().st_size for path in disk.rglob("*.part")) < 1.2 * len(long)


async def test_a_part_that_the_disk_lost_is_packed_again(cache, pack, disk, monkeypatch):
    slices = list(ct_series(4, rows=256, columns=256))
    for one in slices:
        await cache.send(one)
    cut_at(monkeypatch, Bundle, "write", 5)  # the end
    with pytest.raises(Cut):
        await pack(part_bytes=2 * len(slices[0].data))
    monkeypatch.undo()
    (bundle,) = await on_it(disk)
    path = bundle.path / "0001.part"
    path.write_bytes(path.read_bytes()[:-1])
    packed = await pack()
    assert packed.images == 4
    assert sorted(data for data, _ in await on(disk, cache)) == sorted(one.data for one in slices)


async def test_one_for_others_is_ended_as_it_is_and_another_is_begun(
    cache, pack, disk, monkeypatch
):
    slices = list(ct_series(4, rows=256, columns=256))
    for one in slices:
        await cache.send(one)
    cut_at(monkeypatch, PartWriter, "finish", 2)
    with pytest.raises(Cut):
        await pack(part_bytes=2 * len(slices[0].data))
    monkeypatch.undo()
    first = (await on_it(disk))[0].number
    packed = await pack(recipients=(OFFICE,), part_bytes=2 * len(slices[0].data))
    assert (packed.resumed, packed.images) == (False, 2)
    ends = {}
    for one in await on_it(disk):
        who = HOSPITAL if one.number == first else OFFICE
        ends[one.number] = (await end_of(one, cache, who)).instances
    assert ends == {first: 2, packed.bundle: 2}


async def test_what_is_not_ours_on_the_disk_is_left_alone(cache, pack, disk):
    other = disk / "EDGE-COURIER" / "00112233445566aa"
    other.mkdir(parents=True)
    for name in ("key", "0001.part", "0001.part.new"):
        (other / name).write_text("of another clinic")
    (one,) = ct_series(1, rows=16, columns=16)
    await cache.send(one)
    await pack()
    assert sorted(path.name for path in other.iterdir()) == ["0001.part", "0001.part.new", "key"]


async def test_a_run_that_is_cancelled_leaves_no_half_part(cache, pack, disk, monkeypatch):
    for one in ct_series(4, rows=256, columns=256):
        await cache.send(one)

    def cancel(images, size):
        asyncio.current_task().cancel()

    task = asyncio.ensure_future(pack(say=cancel))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(disk.rglob("*.part*"))
    assert (await pack()).images == 4


# A bad disk ---------------------------------------------------------------------------------------


async def test_a_disk_that_was_pulled_out_is_said_and_gone_on_with(cache, pack, disk, monkeypatch):
    slices = list(ct_series(4, rows=256, columns=256))
    for one in slices:
        await cache.send(one)
    write, calls = PartWriter.write, []

    def pulled_out(self, content):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write(self, content)

    monkeypatch.setattr(PartWriter, "write", pulled_out)
    with pytest.raises(EdgeError, match="can't be used") as found:
        await pack(part_bytes=len(slices[0].data))
    assert "goes on where it was" in found.value.hint
    monkeypatch.undo()
    packed = await pack()
    assert (packed.resumed, packed.images) == (True, 4)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may mount nothing")
    yield path
    subprocess.run(["umount", path], check=True)


async def test_a_full_disk_takes_what_fits_and_room_for_receipts_is_left(cache, pack, small_disk):
    slices = list(ct_series(16, rows=512, columns=512))
    for one in slices:
        await cache.send(one)
    packed = await pack(to=small_disk)
    assert 0 < packed.images < 16
    assert packed.left == 16 - packed.images
    assert shutil.disk_usage(small_disk).free > 2**20
    (bundle,) = await on_it(small_disk)
    assert (await end_of(bundle, cache)).instances == packed.images
    assert len(await on(small_disk, cache)) == packed.images


@pytest.mark.blocks  # so that the disk fills up at the right moment
async def test_a_disk_that_fills_up_meanwhile_keeps_the_parts_that_are_whole(
    cache, pack, small_disk, monkeypatch
):
    slices = list(ct_series(6, rows=512, columns=512))
    for one in slices:
        await cache.send(one)
    # It looks as if there were room for all; a part and its list fit, then nothing does.
    monkeypatch.setattr(module, "_RESERVE", 0)

    def fill(images, size):
        if images == 4:
            free = shutil.disk_usage(small_disk).free
            (small_disk / "film").write_bytes(bytes(free - 300_000))

    packed = await pack(to=small_disk, part_bytes=2 * len(slices[0].data), say=fill)
    assert packed.images in (2, 4)
    assert packed.left >= 2
    found = await on(small_disk, cache)
    assert [data for data, _ in found] == [one.data for one in slices[: packed.images]]
    (bundle,) = await on_it(small_disk)
    assert (await end_of(bundle, cache)).instances == packed.images
    assert not list(bundle.path.glob("*.new"))


async def test_two_that_pack_on_one_disk_take_nothing_from_each_other(cache, pack, disk):
    slices = list(ct_series(4, rows=256, columns=256))
    for one in slices:
        await cache.send(one)
    told = []

    async def second():
        with pytest.raises(EdgeError, match="in use by another edge courier"):
            await pack()
        told.append("refused")

    waiting = []
    packed = await pack(say=lambda *_: waiting.append(asyncio.ensure_future(second())))
    await asyncio.gather(*waiting)
    assert told
    assert packed.images == 4
    assert [data for data, _ in await on(disk, cache)] == [one.data for one in slices]


async def test_a_link_in_the_place_of_the_folder_of_bundles_is_refused(cache, pack, disk, tmp_path):
    await cache.send(next(ct_series(1, rows=16, columns=16)))
    before = await asyncio.to_thread(lambda: sorted(tmp_path.iterdir()))
    await asyncio.to_thread((disk / "EDGE-COURIER").symlink_to, tmp_path)
    with pytest.raises(EdgeError, match="is no folder, but a link or a file"):
        await pack()
    assert await asyncio.to_thread(lambda: sorted(tmp_path.iterdir())) == before
