"""PNG and GIF that come as Pixel Data are kept as native pixels, and leave as they were."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pydicom
import pytest
from PIL import Image

from edge.config import Pixels
from edge.dicom.xml_model import to_xml
from edge.dicomweb.store_pictures import Transformation
from edge.errors import InvalidInstance, StorageFull
from edge.pixels.workers import PixelWorkers
from tests.dicomweb.doubles import Spooling
from tests.dicomweb.test_over_the_cache import box, open_cache  # noqa: F401  (fixtures)
from tests.dicomweb.test_store_metadata import (
    JSON,
    OCTETS,
    PIXELS,
    XML,
    body,
    bulk,
    described,
    kept,
    related,
    store,
)
from tests.rasters import gif, named, noise, png, png_of

PNG, GIF = "image/png", "image/gif"
EXPLICIT = "1.2.840.10008.1.2.1"
RED = Image.new("RGB", (32, 24), (200, 40, 40))


def message(*pictures, kind=PNG, metadata=None):
    """Metadata in which all but the pictures is left out, unless it is given."""
    text = json.dumps([metadata or described(t7FE00010=bulk())]).encode()
    return body((JSON, "", text), *[(kind, "pixels", picture) for picture in pictures])


def us(value):
    return {"vr": "US", "Value": [value]}


async def reason(service, data):
    """Why an instance is refused."""
    status, answer = await store(service, data, related(JSON))
    assert status == 400
    assert service.admission.kept == {}
    [failed] = answer["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    return failed["00091001"]["Value"][0]


@pytest.mark.parametrize(
    ("mode", "photometric", "vr"),
    [
        ("L", "MONOCHROME2", "OB"),
        ("I;16", "MONOCHROME2", "OW"),
        ("RGB", "RGB", "OB"),
        ("RGBA", "RGB", "OB"),
        ("P", "RGB", "OB"),
    ],
)
async def test_a_png_describes_itself_and_its_pixels_are_kept(service, mode, photometric, vr):
    picture = noise(mode, 31, 23)
    status, _ = await store(service, message(png(picture)), related(JSON))
    assert status == 200
    dataset = kept(service)
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    found = dataset.PhotometricInterpretation, dataset["PixelData"].VR
    assert found == (photometric, vr)
    assert "NumberOfFrames" not in dataset
    assert ("PlanarConfiguration" in dataset) == (photometric == "RGB")
    wanted = picture.convert("RGB") if photometric == "RGB" else picture
    assert np.array_equal(dataset.pixel_array, np.asarray(wanted))
    # A value has an even number of bytes (PS3.5 7.1.1).
    assert len(dataset.PixelData) % 2 == 0


async def test_every_frame_of_a_gif_is_kept(service):
    pictures = [noise("P", seed=seed) for seed in range(4)]
    status, _ = await store(service, message(gif(*pictures), kind=GIF), related(JSON))
    assert status == 200
    dataset = kept(service)
    assert dataset.NumberOfFrames == 4
    for frame, picture in zip(dataset.pixel_array, pictures, strict=True):
        assert np.array_equal(frame, np.asarray(picture.convert("RGB")))


async def test_pictures_of_one_location_are_frames_one_after_another(service):
    pictures = [noise("L"), noise("RGB", seed=2), noise("P", seed=3)]
    data = message(*map(png, pictures))
    assert (await store(service, data, related(JSON)))[0] == 200
    dataset = kept(service)
    assert (dataset.NumberOfFrames, dataset.SamplesPerPixel) == (3, 3)
    wanted = [np.asarray(picture.convert("RGB")) for picture in pictures]
    assert np.array_equal(dataset.pixel_array, wanted)


async def test_metadata_in_xml_may_say_the_same_as_the_picture(service):
    metadata = described(**PIXELS, t7FE00010=bulk()) | {
        "00280008": {"vr": "IS", "Value": ["2"]},
        "00280010": us(30),
        "00280011": us(40),
    }
    picture = gif(noise("L"), noise("L", seed=2))
    data = body((XML, "", to_xml(metadata)), (GIF, "pixels", picture))
    assert (await store(service, data, related(XML)))[0] == 200
    assert kept(service).pixel_array.shape == (2, 30, 40)


async def test_what_the_metadata_knows_better_is_kept(service):
    twelve = Image.fromarray(np.full((3, 5), 4095, "u2"))
    metadata = described(t7FE00010=bulk()) | {
        "00280004": {"vr": "CS", "Value": ["MONOCHROME1"]},
        "00280101": us(12),
        "00280103": {"vr": "US"},
    }
    assert (await store(service, message(png(twelve), metadata=metadata), related(JSON)))[0] == 200
    dataset = kept(service)
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, 12, 11)
    assert dataset.PixelRepresentation == 0
    assert (dataset.pixel_array == 4095).all()


async def test_a_grey_picture_is_rgb_if_the_metadata_says_so(service):
    metadata = described(t7FE00010=bulk()) | {"00280002": us(3), "00280006": us(1)}
    data = message(gif(noise("L")), kind=GIF, metadata=metadata)
    assert (await store(service, data, related(JSON)))[0] == 200
    dataset = kept(service)
    assert (dataset.PhotometricInterpretation, dataset.PlanarConfiguration) == ("RGB", 0)
    assert np.array_equal(dataset.pixel_array, np.asarray(noise("L").convert("RGB")))


@pytest.mark.parametrize(
    ("tag", "element", "name"),
    [
        ("00280002", us(4), "Samples per Pixel"),
        ("00280002", us(1), "Samples per Pixel"),
        ("00280004", {"vr": "CS", "Value": ["PALETTE COLOR"]}, "Photometric Interpretation"),
        ("00280004", {"vr": "CS", "Value": [["RGB"]]}, "Photometric Interpretation"),
        ("00280004", "RGB", "Photometric Interpretation"),
        ("00280008", {"vr": "IS", "Value": [2]}, "Number of Frames"),
        ("00280008", {"vr": "IS", "Value": ["many"]}, "Number of Frames"),
        ("00280010", us(25), "Rows"),
        ("00280010", us(24.5), "Rows"),
        ("00280010", us({"a": 1}), "Rows"),
        ("00280010", {"vr": "US", "Value": [24, 24]}, "Rows"),
        ("00280010", {"vr": "US", "Value": 25}, "Rows"),
        ("00280011", us(1e300), "Columns"),
        ("00280100", us(16), "Bits Allocated"),
        ("00280101", us(9), "Bits Stored"),
        ("00280101", us(-1), "Bits Stored"),
        ("00280102", us(6), "High Bit"),
        ("00280103", us(1), "Pixel Representation"),
    ],
)
async def test_metadata_that_contradicts_its_picture_is_refused(service, tag, element, name):
    metadata = described(t7FE00010=bulk()) | {tag: element}
    data = message(png(RED), metadata=metadata)
    assert (await reason(service, data)).startswith(f"{name} of the metadata")


@pytest.mark.parametrize(
    ("picture", "kind", "why"),
    [
        (png(RED), GIF, "no GIF"),
        (gif(RED), PNG, "no PNG"),
        (b"", PNG, "no PNG"),
        (png(RED)[:-20], PNG, "ends early"),
        (gif(RED)[:-20], GIF, "ends early"),
        (png(RED), f'{PNG}; transfer-syntax="1.2.840.10008.1.2.5"', "transfer syntax"),
        (png(noise("L")).replace(b"IDAT", b"JDAT"), PNG, "checksum"),
        (png_of(30, 20, pixels=bytes(31 * 19)), PNG, "as many pixels"),
        (png_of(60_000, 60_000, pixels=bytes(100)), PNG, "3600000000 bytes"),
        (png(Image.new("RGBA", (4, 4), (1, 2, 3, 4))), PNG, "transparent"),
    ],
    ids=named,
)
async def test_a_picture_that_can_not_be_kept_is_refused(service, picture, kind, why):
    assert why in await reason(service, message(picture, kind=kind))


async def test_pictures_that_differ_are_no_frames_of_one_instance(service):
    for pictures in ((noise("L"), noise("L", 41)), (noise("L"), noise("I;16"))):
        assert "differ" in await reason(service, message(*map(png, pictures)))


async def test_one_bad_picture_fails_its_instance_alone(service):
    metadata = [described(number, t7FE00010=bulk(f"picture-{number}")) for number in range(1, 6)]
    bomb = png_of(50_000, 50_000, pixels=bytes(1 << 24))
    data = body(
        (JSON, "", json.dumps(metadata).encode()),
        (PNG, "picture-1", png(noise("RGB"))),
        (PNG, "picture-2", bomb),
        (GIF, "picture-3", gif(noise("P"))[:-300] + b"\0;"),
        (GIF, "picture-4", gif(noise("P"))),
        (OCTETS, "picture-5", b"raw!"),
    )
    status, answer = await store(service, data, related(JSON))
    assert status == 202
    assert sorted(service.admission.kept) == ["1.2.3.4.1", "1.2.3.4.4", "1.2.3.4.5"]
    failed = [item["00081155"]["Value"][0] for item in answer["00081198"]["Value"]]
    assert failed == ["1.2.3.4.2", "1.2.3.4.3"]


async def test_only_pixel_data_of_the_instance_itself_can_be_a_picture(service):
    icon = described(t7FE00010=bulk("icon"))
    for metadata in (
        described(t00420011=bulk()),
        described(t00880200={"vr": "SQ", "Value": [icon]}, t7FE00010=bulk()),
    ):
        text = json.dumps([metadata]).encode()
        parts = [(PNG, "icon", png(RED)), (PNG, "pixels", png(RED))]
        assert "can" in await reason(service, body((JSON, "", text), *parts))


async def test_a_picture_is_let_go_when_its_instance_is_given_up(service, monkeypatch):
    async def give_up(chunks, source, *, study_uid=None):
        async for chunk in chunks:
            if len(chunk) > 100_000:
                raise StorageFull("the disk is full")

    data = message(png(noise("L", 1000, 1000)))
    with monkeypatch.context() as patched:
        patched.setattr(service.admission, "store_instance", give_up)
        assert (await store(service, data, related(JSON)))[0] == 507
    # Were it not, this one would wait for its turn for ever.
    async with asyncio.timeout(60):
        assert (await store(service, data, related(JSON)))[0] == 200


async def test_a_picture_that_is_longer_than_any_frame_is_not_even_read():
    spooling, workers = Spooling(None), PixelWorkers(Pixels(frame_bytes=1000))
    transformation = Transformation(workers)
    picture = 0, workers.most_frame_bytes + 1
    with pytest.raises(InvalidInstance, match="too many"):
        await transformation.describe(spooling, [picture], PNG, {})


async def test_what_was_stored_as_pictures_is_retrieved_in_every_form(box):  # noqa: F811
    pictures = [noise("P", seed=seed) for seed in range(3)]
    headers = {"Content-Type": related(JSON)}
    data = message(gif(*pictures), kind=GIF)
    async with box.http.post(f"{box.base}/studies", data=data, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    place = "/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.1"
    wanted = [np.asarray(picture.convert("RGB")) for picture in pictures]
    for accept in ("application/dicom", "application/dicom; transfer-syntax=*"):
        [(_, file)] = await box.parts(place, f"multipart/related; type={accept}")
        dataset = pydicom.dcmread(io.BytesIO(file))
        assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
        assert np.array_equal(dataset.pixel_array, wanted)
    frames = await box.parts(f"{place}/frames/1,2,3", 'multipart/related; type="image/jls"')
    assert len(frames) == 3
    async with box.http.get(
        f"{box.base}{place}/frames/3/rendered", headers={"Accept": PNG}
    ) as answer:
        shown = Image.open(io.BytesIO(await answer.read()))
    assert np.array_equal(np.asarray(shown.convert("RGB")), wanted[2])
