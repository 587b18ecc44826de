"""Instances in other transfer syntaxes: values and pixels survive, wherever they go."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder

from edge.cache.opened import OpenInstance
from edge.cache.transcoding import Transcoding, syntaxes_for
from edge.config import Pixels
from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID
from edge.dicom.instance import InstanceRef
from edge.errors import PixelBudgetExceeded, PixelError, UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from tests import samples
from tests.pixels.pool import running

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
CHANGED = {"PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression", *PIXELS}
GREY = ImageDescription(syntaxes.EXPLICIT_LITTLE, 64, 64, 1, "MONOCHROME2", 16, 12, 11, False)


@pytest.fixture(autouse=True)
def pydicom_may_complain():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
async def transcoding():
    async with running() as workers:
        yield Transcoding(workers)


@pytest.fixture
def opened(cache):
    """Admits a file, and opens it."""

    async def admit(data):
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        await cache.send(data)
        ref = InstanceRef(
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
        )
        found = await cache.retrieval.instances(ref.study_uid, ref.series_uid, ref.sop_uid)
        return cache.retrieval.open_instance(found[0])

    return admit


def read(data):
    return pydicom.dcmread(io.BytesIO(data))


WORDS = {"OW": "u2", "OF": "u4", "OL": "u4", "OD": "u8", "OV": "u8"}


def attributes_of(dataset, *, without=frozenset(), big=None):
    """Every value, by its path; words are little endian."""
    found = {}
    if big is None:
        big = dataset.file_meta.TransferSyntaxUID == syntaxes.EXPLICIT_BIG
    for element in dataset:
        if element.tag.element == 0 or element.keyword in without:
            continue
        name = str(element.tag)
        if element.VR == "SQ":
            found[name] = [attributes_of(item, big=big) for item in element.value]
        elif big and element.VR in WORDS and element.value:
            found[name] = np.frombuffer(element.value, WORDS[element.VR]).byteswap().tobytes()
        else:
            found[name] = element.value or None
    return found


def pixels_of(dataset):
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    return [array for array, _ in decoder.iter_array(dataset, raw=True)]


async def whole(transcoding, instance, syntax):
    return b"".join([piece async for piece in transcoding.instance(instance, syntax)])


# What pydicom can not read by itself; tests/pixels/images.py says why.
UNREADABLE = {
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "badVR.dcm",
}
DAMAGED = "JPEG2000-embedded-sequence-delimiter.dcm"


async def test_every_packaged_instance_survives_every_transfer_syntax_it_can_be_given_in(
    transcoding, opened
):
    given = 0
    for path in samples.distinct_files():
        if path.name == DAMAGED:
            continue
        data = path.read_bytes()
        before = read(data)
        has_pixels = any(name in before for name in PIXELS) and path.name not in UNREADABLE
        expected = pixels_of(before) if has_pixels else []
        async with await opened(data) as instance:
            for syntax in (await transcoding.syntaxes(instance))[1:]:
                after = read(await whole(transcoding, instance, syntax))
                assert after.file_meta.TransferSyntaxUID == syntax
                assert after.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
                assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
                theirs = attributes_of(before, without=CHANGED)
                mine = attributes_of(after, without=CHANGED)
                if syntax in (syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_BIG):
                    theirs, mine = without_unknown(theirs, mine)
                assert mine == theirs, (path.name, syntax)
                if expected and before.file_meta.TransferSyntaxUID != syntax:
                    for one, other in zip(expected, pixels_of(after), strict=True):
                        assert np.array_equal(one, other), (path.name, syntax)
                given += 1
    assert given > 300


def without_unknown(theirs, mine):
    """Private values: without a VR in the stream, pydicom takes them for what its table says."""

    def public(found):
        if isinstance(found, list):
            return [public(item) for item in found]
        if not isinstance(found, dict):
            return found
        return {name: public(value) for name, value in found.items() if int(name[1:5], 16) % 2 == 0}

    return public(theirs), public(mine)


async def test_a_frame_comes_in_any_lossless_syntax(transcoding, opened):
    data = samples.packaged_file("MR_small.dcm").read_bytes()
    stored = read(data).PixelData
    async with await opened(data) as instance:
        offered = await transcoding.syntaxes(instance)
        assert offered[0] == syntaxes.EXPLICIT_LITTLE
        assert {syntaxes.RLE, syntaxes.JPEG_LS_LOSSLESS, syntaxes.JPEG_2000_LOSSLESS} < {*offered}
        assert await transcoding.frame(instance, 1, syntaxes.EXPLICIT_LITTLE) == stored
        assert await transcoding.frame(instance, 1, syntaxes.IMPLICIT_LITTLE) == stored
        codestream = await transcoding.frame(instance, 1, syntaxes.JPEG_2000_LOSSLESS)
        assert codestream.startswith(b"\xff\x4f\xff\x51")


class Counted(OpenInstance):
    """An open instance that counts how often its attributes are decoded."""

    decoded = 0

    def attributes(self):
        self.decoded += 1
        return super().attributes()


async def test_attributes_are_decoded_once_for_all_frames(transcoding, opened):
    data = samples.packaged_file("SC_rgb_rle_2frame.dcm").read_bytes()
    async with await opened(data) as it:
        counted = Counted(it.entry, it._content, it.layout, it._document)
        assert syntaxes.EXPLICIT_LITTLE in await transcoding.syntaxes(counted)
        for number in (1, 2):
            assert len(await transcoding.frame(counted, number, syntaxes.EXPLICIT_LITTLE)) == 30_000
        assert counted.decoded == 1


async def test_frames_of_big_endian_instances_become_little_endian(transcoding, opened):
    plain = read(samples.packaged_file("MR_small.dcm").read_bytes()).PixelData
    data = samples.packaged_file("MR_small_bigendian.dcm").read_bytes()
    async with await opened(data) as instance:
        assert await transcoding.frame(instance, 1, syntaxes.EXPLICIT_LITTLE) == plain


async def test_an_odd_frame_of_single_bytes_in_big_endian_words_keeps_its_last_one(
    transcoding, opened
):
    plain = read(samples.packaged_file("SC_rgb_small_odd.dcm").read_bytes()).PixelData
    data = samples.packaged_file("SC_rgb_small_odd_big_endian.dcm").read_bytes()
    async with await opened(data) as instance:
        assert await transcoding.frame(instance, 1, syntaxes.EXPLICIT_LITTLE) == plain[:27]


async def test_lossy_images_are_given_uncompressed_and_stay_marked_as_lossy(transcoding, opened):
    data = samples.packaged_file("SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    async with await opened(data) as instance:
        offered = await transcoding.syntaxes(instance)
        assert offered[1:] == (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)
        after = read(await whole(transcoding, instance, syntaxes.EXPLICIT_LITTLE))
        assert after.LossyImageCompression == "01"
        assert after.PhotometricInterpretation == "YBR_FULL"
        assert len(after.PixelData) == 30_000
        with pytest.raises(PixelError, match="can't be given"):
            await whole(transcoding, instance, syntaxes.RLE)


async def test_what_is_no_image_goes_from_one_uncompressed_syntax_to_the_next(transcoding, opened):
    data = samples.packaged_file("test-SR.dcm").read_bytes()
    async with await opened(data) as instance:
        offered = await transcoding.syntaxes(instance)
        assert {*offered} == {
            syntaxes.EXPLICIT_LITTLE,
            syntaxes.IMPLICIT_LITTLE,
            syntaxes.EXPLICIT_BIG,
            syntaxes.DEFLATED,
        }
        with pytest.raises(PixelError, match="can't be given"):
            await whole(transcoding, instance, syntaxes.JPEG_LS_LOSSLESS)


async def test_nothing_is_sent_before_the_first_frame_was_decoded(cache, opened):
    data = samples.packaged_file("MR_small_RLE.dcm").read_bytes()
    async with running(Pixels(frame_bytes=100)) as workers, await opened(data) as instance:
        with pytest.raises(PixelBudgetExceeded):
            await anext(Transcoding(workers).instance(instance, syntaxes.EXPLICIT_LITTLE))


def test_what_is_stored_comes_first_and_what_is_not_understood_comes_only_so():
    unknown, video = "1.2.3.4", "1.2.840.10008.1.2.4.102"
    assert syntaxes_for(GREY, unknown) == (unknown,)
    assert syntaxes_for(None, video) == (video,)
    assert syntaxes_for(GREY, syntaxes.RLE)[0] == syntaxes.RLE


def test_no_more_than_four_gigabytes_of_uncompressed_pixels_are_promised():
    long = ImageDescription(syntaxes.RLE, 4096, 4096, 1, "MONOCHROME2", 16, 16, 15, False, 0, 200)
    assert syntaxes.EXPLICIT_LITTLE not in syntaxes_for(long, syntaxes.RLE)
    assert syntaxes.JPEG_LS_LOSSLESS in syntaxes_for(long, syntaxes.RLE)


async def test_an_instance_that_broke_off_at_a_frame_is_refused_at_once_the_next_time(
    transcoding, opened
):
    dataset = read(samples.packaged_file("JPEG2000.dcm").read_bytes())
    [frame] = generate_frames(dataset.PixelData, number_of_frames=1)
    damaged = frame[:100] + b"\xff" * (len(frame) - 100)
    dataset.NumberOfFrames, dataset.PixelData = 2, encapsulate([frame, damaged])
    file = io.BytesIO()
    dataset.save_as(file)
    async with await opened(file.getvalue()) as instance:
        for pieces_before in (True, False):
            pieces = []
            with pytest.raises(UndecodablePixels):
                await collect(transcoding.instance(instance, syntaxes.EXPLICIT_LITTLE), pieces)
            assert bool(pieces) is pieces_before
        stored = instance.entry.transfer_syntax
        await collect(transcoding.instance(instance, stored), pieces)
        assert b"".join(pieces) == file.getvalue()


async def collect(stream, pieces):
    """Put the pieces into a list, which has those before an error, too."""
    async for piece in stream:
        pieces.append(piece)
