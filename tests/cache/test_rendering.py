"""Pictures of instances that are here: made once, kept sealed, bounded, gone with their study."""

import asyncio
import io
import os
from dataclasses import replace

import pydicom
import pytest
from PIL import Image

from edge import config
from edge.cache import pictures as pictures_of
from edge.cache import rendering as rendering_of
from edge.cache.opened import OpenInstance
from edge.cache.pictures import PictureCache
from edge.cache.rendering import Rendering
from edge.crypto.sealed import Algorithm
from edge.errors import InstanceNotFound, NotAnImage, PixelError
from edge.pixels.presentation import Picture, Presentation, Viewport
from tests import samples
from tests.pixels.pool import running

SMALL = Presentation(viewport=Viewport(64, 64))


@pytest.fixture
def renders(cache, tmp_path):
    """Opens the rendering of a cache, as after each start."""

    def opened(workers, *, max_bytes=1 << 20):
        settings = config.Cache(rendered_bytes=max_bytes, reserve_bytes=0)
        pictures = PictureCache(settings, tmp_path, cache.keys, Algorithm.AES_256_GCM)
        return pictures, Rendering(cache.retrieval, workers, pictures)

    return opened


@pytest.fixture
async def workers():
    async with running() as pool:
        yield pool


@pytest.fixture
def admit(cache):
    async def send(name):
        data = samples.packaged_file(name).read_bytes()
        await cache.send(data)
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        (entry,) = await cache.retrieval.instances(
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
        )
        return entry

    return send


@pytest.fixture
def counted(cache, monkeypatch):
    """How often an instance was opened."""
    opened = []
    original = cache.retrieval.open_instance

    def count(entry):
        opened.append(entry)
        return original(entry)

    monkeypatch.setattr(cache.retrieval, "open_instance", count)
    return opened


def files(tmp_path):
    return sorted((tmp_path / "rendered").iterdir())


async def put(pictures, name, key_id, picture):
    pictures.keep(name, key_id, picture, pictures.deletions)
    await pictures.flush()


async def test_a_frame_is_a_picture_of_the_size_that_was_asked_for(renders, workers, admit):
    pictures, rendering = renders(workers)
    await pictures.open()
    picture = await rendering.frame(await admit("CT_small.dcm"), 1, SMALL)
    assert picture.media_type == "image/jpeg"
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "JPEG"
        assert image.size == (picture.width, picture.height) == (64, 64)


async def test_the_same_picture_is_made_once_however_many_ask_at_once_and_later(
    renders, workers, admit, counted, tmp_path
):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    found = await asyncio.gather(*(rendering.frame(entry, 1, SMALL) for _ in range(10)))
    assert await rendering.frame(entry, 1, SMALL) == found[0]
    assert len(counted) == 1
    assert len({picture.data for picture in found}) == 1
    # And after a restart.
    await pictures.flush()
    pictures, rendering = renders(workers)
    await pictures.open()
    assert await rendering.frame(entry, 1, SMALL) == found[0]
    assert len(counted) == 1
    await rendering.frame(entry, 1, replace(SMALL, quality=50))
    await pictures.flush()
    assert len(counted) == 2
    assert len(files(tmp_path)) == 2


async def test_who_makes_it_may_go_away_and_the_next_makes_it(renders, workers, admit):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    asking = [asyncio.ensure_future(rendering.frame(entry, 1, SMALL)) for _ in range(3)]
    while not (rendering._flights or asking[0].done()):  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    asking[0].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1] == answers[2]
    assert rendering._flights == {}


async def test_nothing_of_a_picture_can_be_read_on_the_disk(renders, workers, admit, tmp_path):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    picture = await rendering.frame(entry, 1, SMALL)
    await pictures.flush()
    (path,) = files(tmp_path)
    sealed = path.read_bytes()
    assert picture.data[:64] not in sealed
    assert b"JFIF" not in sealed
    assert entry.ref.sop_uid.encode() not in sealed
    assert path.stat().st_mode & 0o077 == 0


async def test_a_picture_that_was_changed_is_made_again(renders, workers, admit, counted, tmp_path):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    picture = await rendering.frame(entry, 1, SMALL)
    await pictures.flush()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert await rendering.frame(entry, 1, SMALL) == picture
    assert len(counted) == 2


async def test_pictures_of_an_erased_study_can_not_be_opened(
    renders, workers, admit, cache, counted, tmp_path
):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    await rendering.frame(entry, 1, SMALL)
    await pictures.flush()
    (path,) = files(tmp_path)
    await asyncio.to_thread(cache.keys.destroy, cache.keys.key_ids())
    assert await pictures.get(path.name) is None
    assert files(tmp_path) == []


async def test_what_was_being_made_while_something_was_deleted_is_not_kept(
    renders, workers, admit, cache, monkeypatch, tmp_path
):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    render = workers.render

    async def deleting(*what):
        async with pictures.forgetting([]):
            return await render(*what)

    monkeypatch.setattr(workers, "render", deleting)
    picture = await rendering.frame(entry, 1, SMALL)
    await pictures.flush()
    assert files(tmp_path) == []
    monkeypatch.undo()
    assert await rendering.frame(entry, 1, SMALL) == picture
    await pictures.flush()
    assert len(files(tmp_path)) == 1


async def test_pictures_are_written_after_a_while_and_at_once_if_many_wait(
    renders, workers, cache, tmp_path, monkeypatch
):
    pictures, _ = renders(workers, max_bytes=1 << 30)
    await pictures.open()
    key = await asyncio.to_thread(cache.keys.new_study_key)

    async def written(count):
        for _ in range(200):
            if len(files(tmp_path)) == count:
                return
            await asyncio.sleep(0.02)
        assert len(files(tmp_path)) == count

    async with asyncio.TaskGroup() as group:
        writer = group.create_task(pictures.run())
        small = Picture("image/png", b"small", 1, 1)
        pictures.keep(pictures.name(1), key.key_id, small, pictures.deletions)
        assert await pictures.get(pictures.name(1)) == small
        await written(1)
        monkeypatch.setattr(pictures_of, "_PAUSE", 3600.0)
        half = Picture("image/png", bytes(8 << 20), 1, 1)
        pictures.keep(pictures.name(2), key.key_id, half, pictures.deletions)
        await written(2)
        writer.cancel()


async def test_what_comes_faster_than_it_can_be_written_is_not_kept(
    renders, workers, cache, tmp_path
):
    pictures, _ = renders(workers, max_bytes=1 << 30)
    await pictures.open()
    key = await asyncio.to_thread(cache.keys.new_study_key)
    large = Picture("image/png", bytes(6 << 20), 1, 1)
    for number in range(3):
        pictures.keep(pictures.name(number), key.key_id, large, pictures.deletions)
    await pictures.flush()
    assert len(files(tmp_path)) == 2
    await put(pictures, pictures.name(2), key.key_id, large)
    assert len(files(tmp_path)) == 3


async def test_the_least_used_pictures_go_first(renders, cache, workers, tmp_path):
    pictures, _ = renders(workers, max_bytes=40_000)
    await pictures.open()
    key = await asyncio.to_thread(cache.keys.new_study_key)
    made = [Picture("image/png", os.urandom(9000), 1, number) for number in range(6)]
    names = [pictures.name(number) for number in range(6)]
    for number in range(4):
        await put(pictures, names[number], key.key_id, made[number])
    assert await pictures.get(names[0]) == made[0]
    for number in (4, 5):
        await put(pictures, names[number], key.key_id, made[number])
    found = [await pictures.get(name) for name in names]
    assert found == [made[0], None, None, made[3], made[4], made[5]]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 40_000


async def test_no_picture_takes_the_room_of_all_others_and_none_is_kept_without_room(
    renders, cache, workers, tmp_path
):
    pictures, _ = renders(workers, max_bytes=40_000)
    await pictures.open()
    key = await asyncio.to_thread(cache.keys.new_study_key)
    await put(pictures, pictures.name(1), key.key_id, Picture("image/png", bytes(10_001), 1, 1))
    assert files(tmp_path) == []
    settings = config.Cache(rendered_bytes=40_000, reserve_bytes=1 << 62)
    full = PictureCache(settings, tmp_path, cache.keys, Algorithm.AES_256_GCM)
    await full.open()
    await put(full, full.name(1), key.key_id, Picture("image/png", bytes(100), 1, 1))
    assert files(tmp_path) == []


async def test_what_was_being_written_at_the_end_is_removed(renders, workers, tmp_path):
    (tmp_path / "rendered").mkdir(exist_ok=True)
    (tmp_path / "rendered" / "00.part").write_bytes(b"half")
    (tmp_path / "rendered" / "README").write_bytes(b"not ours")
    pictures, _ = renders(workers)
    await pictures.open()
    assert [path.name for path in files(tmp_path)] == ["README"]


async def test_frames_that_are_not_there_are_not_found(renders, workers, admit):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("CT_small.dcm")
    with pytest.raises(InstanceNotFound, match="no frame 2 of 1"):
        await rendering.frame(entry, 2, SMALL)
    with pytest.raises(NotAnImage):
        await rendering.frame(await admit("test-SR.dcm"), 1, SMALL)


async def test_the_middle_of_a_study_stands_for_it(renders, workers, cache):
    _, rendering = renders(workers)
    parts = list(samples.ct_series(5))
    for part in parts:
        await cache.send(part)
    entry, frame = await rendering.representative(parts[0].ref.study_uid)
    assert frame == 1
    assert entry.ref == parts[2].ref
    with pytest.raises(InstanceNotFound):
        await rendering.representative("1.2.3")


async def test_the_middle_frame_stands_for_an_instance_and_images_for_a_study(
    renders, workers, admit
):
    _, rendering = renders(workers)
    entry = await admit("rtdose.dcm")
    found = await rendering.representative(entry.ref.study_uid)
    assert found == (entry, 8)
    report = await admit("test-SR.dcm")
    with pytest.raises(NotAnImage):
        await rendering.representative(report.ref.study_uid)


async def test_all_frames_make_an_animation(renders, workers, admit):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("examples_ybr_color.dcm")
    picture = await rendering.animation(entry, SMALL)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == (64, 48)
        shown = 0
        for number in range(image.n_frames):  # equal ones are one that is shown longer
            image.seek(number)
            shown += image.info["duration"]
    assert shown == pytest.approx(30 * 33, abs=30 * 5)
    with pytest.raises(PixelError):
        await rendering.animation(await admit("test-SR.dcm"), SMALL)


async def test_an_icc_profile_goes_with_the_picture_if_it_is_wanted(renders, workers, admit):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("examples_rgb_color.dcm")
    for wanted in ("no", "yes", "srgb", "adobergb", "rommrgb"):
        shown = replace(SMALL, icc_profile=wanted)
        picture = await rendering.frame(entry, 1, shown)
        with Image.open(io.BytesIO(picture.data)) as image:
            assert ("icc_profile" in image.info) == (wanted != "no")


@pytest.fixture
def decoded(monkeypatch):
    """The instances whose attributes were decoded."""
    found, original = [], OpenInstance.attributes

    def count(opened):
        found.append(opened.entry.ref.sop_uid)
        return original(opened)

    monkeypatch.setattr(OpenInstance, "attributes", count)
    return found


async def test_attributes_are_decoded_once_for_all_frames_of_an_instance(
    renders, workers, admit, decoded
):
    pictures, rendering = renders(workers)
    await pictures.open()
    entries = [await admit(name) for name in ("rtdose.dcm", "examples_ybr_color.dcm")]
    for number in range(1, 6):
        for entry in entries:
            await rendering.frame(entry, number, SMALL)
    await asyncio.gather(*(rendering.frame(entries[0], number, SMALL) for number in range(6, 12)))
    assert len(decoded) == 2


async def test_few_attributes_are_kept_and_not_for_long(
    renders, workers, admit, decoded, monkeypatch
):
    monkeypatch.setattr(rendering_of, "_DOCUMENT_SECONDS", 0.01)
    pictures, rendering = renders(workers)
    await pictures.open()
    names = ("rtdose.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm")
    entries = [await admit(name) for name in names]
    for entry in entries:
        await rendering.frame(entry, 1, SMALL)
        assert len(rendering._documents._kept) <= 2
    for _ in range(100):
        if rendering._documents._kept:
            await asyncio.sleep(0.01)
    assert rendering._documents._kept == {}
    await rendering.frame(entries[0], 2, SMALL)
    assert len(decoded) == 4


async def test_what_replaces_an_instance_has_attributes_of_its_own(
    renders, workers, admit, cache, decoded
):
    pictures, rendering = renders(workers)
    await pictures.open()
    entry = await admit("rtdose.dcm")
    await rendering.frame(entry, 1, SMALL)
    async with cache.retrieval.open_instance(entry) as opened:
        opened.entry = replace(opened.entry, version="other")
        await rendering._documents.of(opened)
    assert len(decoded) == 2
