"""Every packaged file of pydicom through every resource that applies.

Pixels are compared with those that pydicom's own decoders find in the file. Files that share a SOP
Instance UID with another one are sent under names of their own.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import pixel_array

from tests import samples
from tests.conformance.material import packaged
from tests.conformance.model import bulk_uris, differences, faults, from_xml
from tests.conformance.service import JSON, NATIVE, XML, media_type, parts_of, related
from tests.journeys.viewer import Part10

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom's opinion of these files is known."""

DICOM, OCTETS = "application/dicom", "application/octet-stream"
EXPLICIT = "1.2.840.10008.1.2.1"
LOSSY = {f"1.2.840.10008.1.2.4.{process}" for process in (50, 51, 81, 91)}
LOSSY_TOLERANCE = 3
"""By so much two decoders of lossy pictures may differ."""

UNDECODABLE = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "its code stream claims 3.7 billion rows",
    "JPEG-lossy.dcm": "pydicom decodes no JPEG of 12 bits",
    "JPGExtended.dcm": "pydicom decodes no JPEG of 12 bits",
    "badVR.dcm": "its Number of Frames is no number",
    "J2K_pixelrep_mismatch.dcm": "its code stream is signed, its data set says it is not",
}
"""Files whose pixels can't be compared, or not be decoded at all: the reason for each."""

# The pieces of a dicomdir that hold no pixels are all alike.
ALIKE = {
    f"IM0000{number}{digit}" for number in "01" for digit in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
}
FILES = [path for path in samples.legal_files() if path.name not in ALIKE - {"IM000000"}]


def is_image(dataset: pydicom.Dataset) -> bool:
    return any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


class Stored:
    """One file, in the service."""

    def __init__(self, path: Path, service) -> None:
        self.name = path.name
        self.data = path.read_bytes()
        if path not in samples.distinct_files():
            self.data = packaged("PEERS", "TWIN", path.name).data
        self.dataset = pydicom.dcmread(io.BytesIO(self.data))
        answer = service.store_instances([self.data])
        assert answer.status_code == 200, answer.text
        [item] = answer.json()["00081199"]["Value"]
        self.url = item["00081190"]["Value"][0].removeprefix(service.base)

    @property
    def syntax(self) -> str:
        return str(self.dataset.file_meta.TransferSyntaxUID)

    @property
    def frames(self) -> int:
        count = str(self.dataset.get("NumberOfFrames") or "1")
        return int(count) if count.isdecimal() else 1


@pytest.fixture(params=FILES, ids=lambda path: path.name, scope="module")
def stored(request, service):
    return Stored(request.param, service)


def same_pixels(stored: Stored, frame: bytes, number: int) -> bool:
    """Whether *frame* is that frame, as stored or with its colours made RGB."""
    for raw in (True, False):
        wanted = pixel_array(stored.dataset, raw=raw)
        wanted = wanted[number - 1] if stored.frames > 1 else wanted
        given = np.frombuffer(frame, np.uint8)
        if stored.dataset.get("BitsAllocated") == 1:
            given = np.unpackbits(given, bitorder="little")
        given = given[: wanted.size * wanted.itemsize].view(wanted.dtype.newbyteorder("<"))
        if given.size != wanted.size:
            continue
        difference = np.abs(given.astype(np.float64) - wanted.ravel().astype(np.float64)).max()
        if difference <= (LOSSY_TOLERANCE if stored.syntax in LOSSY else 0):
            return True
    return False


def test_it_is_found(stored, service):
    uid = str(stored.dataset.SOPInstanceUID)
    [found] = service.search("/instances", {"SOPInstanceUID": uid, "includefield": "all"})
    assert faults(found) == []
    assert found["00080018"]["Value"] == [uid]


def test_it_comes_back_as_it_was_stored(stored, service):
    [part] = parts_of(service.get(stored.url, related(DICOM, "*")), DICOM)
    assert Part10.of(part.body) == Part10.of(stored.data)


def test_it_comes_as_explicit_vr_little_endian_unless_it_is_lossy(stored, service):
    answer = service.get(stored.url, related(DICOM))
    if answer.status_code == 406:
        assert stored.name in UNDECODABLE
        return
    [part] = parts_of(answer, DICOM)
    found = pydicom.dcmread(io.BytesIO(part.body))
    syntax = str(found.file_meta.TransferSyntaxUID)
    assert syntax == EXPLICIT or (syntax == stored.syntax and syntax in LOSSY)
    assert found.SOPInstanceUID == stored.dataset.SOPInstanceUID
    if syntax == EXPLICIT and is_image(stored.dataset) and stored.name not in UNDECODABLE:
        assert found.get("NumberOfFrames") == stored.dataset.get("NumberOfFrames")
        pixels = pixel_array(found, raw=True)
        frame = pixels[0] if stored.frames > 1 else pixels
        if found.BitsAllocated == 1:
            frame = np.packbits(frame.astype(np.uint8), bitorder="little")
        assert same_pixels(stored, frame.tobytes(), 1)


def test_its_metadata_says_what_it_says(stored, service):
    [found] = service.get(f"{stored.url}/metadata", JSON).json()
    assert faults(found) == []
    assert told(differences(stored.dataset, found)) == []


def test_its_metadata_in_xml_says_the_same(stored, service):
    [found] = service.get(f"{stored.url}/metadata", JSON).json()
    [part] = parts_of(service.get(f"{stored.url}/metadata", XML), NATIVE)
    native = from_xml(part.body)
    assert set(native) == set(found)
    assert told(differences(stored.dataset, native)) == []


def test_its_bulk_data_is_where_the_metadata_says(stored, service):
    [found] = service.get(f"{stored.url}/metadata", JSON).json()
    for path, uri in bulk_uris(found):
        answer = service.get(uri, "*/*")
        if answer.status_code == 406:
            assert stored.name in UNDECODABLE
            answer = service.get(uri, related("*/*", "*"))
        assert answer.status_code == 200, (path, answer.text)
        assert answer.content, path


def test_its_frames_are_its_pixels(stored, service):
    if not is_image(stored.dataset):
        answer = service.get(f"{stored.url}/frames/1", related(OCTETS, "*"))
        assert answer.status_code in (400, 404, 406)
        return
    numbers = ",".join(map(str, range(1, stored.frames + 1)))
    kept = parts_of(service.get(f"{stored.url}/frames/{numbers}", related("*/*", "*")))
    assert len(kept) == stored.frames
    answer = service.get(f"{stored.url}/frames/{numbers}", related(OCTETS, EXPLICIT))
    if stored.name in UNDECODABLE:
        assert answer.status_code in (200, 406)
        return
    unpacked = parts_of(answer, OCTETS)
    assert len(unpacked) == stored.frames
    for number, part in enumerate(unpacked, 1):
        if str(stored.dataset.get("PhotometricInterpretation")) == "YBR_FULL_422":
            assert part.body  # maybe two samples for each pixel still, of which pydicom makes three
        else:
            assert same_pixels(stored, part.body, number), number


def test_it_is_rendered(stored, service):
    accept = "image/png, text/html;q=0.5, application/pdf;q=0.2"
    answer = service.get(f"{stored.url}/rendered", accept)
    if not is_image(stored.dataset) or stored.name in UNDECODABLE:
        assert answer.status_code in (200, 406)
    else:
        # Of several frames, the picture is for the service to choose (8.7.4).
        assert answer.status_code == 200 or (stored.frames > 1 and answer.status_code == 406)
        if media_type(answer) == "image/png":
            picture = Image.open(io.BytesIO(answer.content))
            picture.load()
            size = (stored.dataset.Columns, stored.dataset.Rows)
            # Pixels that are not square may be made so.
            assert picture.width == size[0] or picture.height == size[1]


def test_a_frame_of_it_is_rendered(stored, service):
    if not is_image(stored.dataset):
        return
    answer = service.get(f"{stored.url}/frames/1/rendered", "image/png")
    if answer.status_code == 406:
        assert stored.name in UNDECODABLE
        return
    assert answer.status_code == 200, answer.text
    Image.open(io.BytesIO(answer.content)).load()


def told(found: list[str]) -> list[str]:
    """Differences that matter: pixels are no metadata."""
    pixels = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    return [text for text in found if text not in {f"{name} is missing" for name in pixels}]
