"""WADO-RS: frames (PS3.18 10.4.1.1.6) and their media types (8.7.3.3)."""

from __future__ import annotations

from tests.conformance.material import CINE_FRAMES, EXPLICIT, HEIGHT, WIDTH, Material, Sample
from tests.conformance.retrieve import NOWHERE, RLE
from tests.conformance.service import (
    FRAMES,
    Part,
    Service,
    good,
    offered,
    parts_of,
    refused,
    related,
)
from tests.conformance.suite import Chapter, expect

frames = Chapter("F", "Retrieve Transaction (WADO-RS): frames")
check = frames.check

OCTETS = "application/octet-stream"


def parts(
    service: Service, sample: Sample, numbers: str, accept: str = FRAMES, kind: str = OCTETS
) -> list[Part]:
    """The frames of a list, each a part."""
    return parts_of(service.get(f"{sample.path}/frames/{numbers}", accept), kind)


def _cine_frame(material: Material, number: int) -> bytes:
    size = WIDTH * HEIGHT
    return bytes(material.cine.dataset.PixelData[(number - 1) * size : number * size])


@check("10.4.1.1.6", "A frame is a part of application/octet-stream with its pixels.")
def _(service: Service, material: Material) -> None:
    for sample in (material.slice, material.colours["RGB"], material.reference):
        found = parts(service, sample, "1")
        expect(len(found) == 1, f"{len(found)} parts instead of 1")
        expect(found[0].body == sample.dataset.PixelData, "other pixels")


@check("10.4.1.1.6", "A list of frames is answered with a part for each, in the list's order.")
def _(service: Service, material: Material) -> None:
    for numbers in ("1,2,3,4", "2,4", "3"):
        found = parts(service, material.cine, numbers)
        wanted = [_cine_frame(material, int(number)) for number in numbers.split(",")]
        expect(len(found) == len(wanted), f"frames/{numbers}: {len(found)} parts")
        expect([part.body for part in found] == wanted, f"frames/{numbers}: other pixels")


@check("8.7.3.3", "Without a transfer-syntax, frames of a compressed image come uncompressed.")
def _(service: Service, material: Material) -> None:
    for name, sample in material.compressed.items():
        [part] = parts(service, sample, "1")
        expect(part.transfer_syntax in ("", EXPLICIT), f"{name}: {part.transfer_syntax}")
        expect(part.body == material.reference.dataset.PixelData, f"{name}: other pixels")


@check("8.7.3.3", "Explicit VR Little Endian can be asked for by name.")
def _(service: Service, material: Material) -> None:
    for sample in (material.slice, material.compressed["RLE Lossless"]):
        [part] = parts(service, sample, "1", related(OCTETS, EXPLICIT))
        expect(part.transfer_syntax in ("", EXPLICIT), f"it is {part.transfer_syntax}")
        stored = material.slice if sample is material.slice else material.reference
        expect(part.body == stored.dataset.PixelData, "other pixels")


@check("8.7.3.5.2", "transfer-syntax=* is supported; a compressed frame names its transfer syntax.")
def _(service: Service, material: Material) -> None:
    for name, sample in material.compressed.items():
        [part] = parts_of(service.get(f"{sample.path}/frames/1", related(OCTETS, "*")))
        plain = part.body == material.reference.dataset.PixelData
        expect(plain or part.transfer_syntax == sample.transfer_syntax, f"{name}: it names none")


for _name, _kind in (
    ("RLE Lossless", "image/dicom-rle"),
    ("JPEG-LS Lossless", "image/jls"),
    ("JPEG 2000 Lossless", "image/jp2"),
):

    @check("8.7.3.3.2", f"A frame stored in {_name} can be had as {_kind}.", optional=True)
    def _(service: Service, material: Material, name: str = _name, kind: str = _kind) -> None:
        sample = material.compressed[name]
        accept = related(kind, sample.transfer_syntax)
        answer = offered(service.get(f"{sample.path}/frames/1", accept))
        [part] = parts_of(answer, kind)
        expect(part.transfer_syntax in ("", sample.transfer_syntax), f"{part.transfer_syntax}")
        # The fragment is the frame (PS3.5 A.4): an item of an even length.
        expect(part.body in sample.dataset.PixelData, "not the bytes that are stored")


@check("8.7.3.3.2", "A frame of a JPEG baseline image can be had as image/jpeg.", optional=True)
def _(service: Service, material: Material) -> None:
    sample = material.lossy
    accept = related("image/jpeg", sample.transfer_syntax)
    [part] = parts_of(offered(service.get(f"{sample.path}/frames/1", accept)), "image/jpeg")
    expect(part.body.startswith(b"\xff\xd8"), "it is no JPEG")
    expect(part.body in sample.dataset.PixelData, "not the bytes that are stored")


@check("8.7.3.3.2", "RLE can be made of an image that is not stored so.", optional=True)
def _(service: Service, material: Material) -> None:
    accept = related("image/dicom-rle", RLE)
    answer = offered(service.get(f"{material.slice.path}/frames/1", accept))
    [part] = parts_of(answer, "image/dicom-rle")
    segments = int.from_bytes(part.body[:4], "little")
    expect(segments == 2, f"{segments} segments of a 16-bit image instead of 2 (PS3.5 G.5)")


@check("10.4.4", "One frame can be had without multipart.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get(f"{material.cine.path}/frames/2", OCTETS), OCTETS)
    expect(answer.content == _cine_frame(material, 2), "other pixels")


@check("8.7.7", "Accept */* is given uncompressed frames.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get(f"{material.compressed['RLE Lossless'].path}/frames/1", "*/*"))
    body = answer.content
    if answer.headers["Content-Type"].startswith("multipart/related"):
        [part] = parts_of(answer, OCTETS)
        body = part.body
    expect(body == material.reference.dataset.PixelData, "other bytes")


@check("10.4.3.1", "A frame that the image does not have is not found.")
def _(service: Service, material: Material) -> None:
    for numbers in (str(CINE_FRAMES + 1), f"1,{CINE_FRAMES + 1}"):
        # A list with a wrong number is an error of the request, too.
        refused(service.get(f"{material.cine.path}/frames/{numbers}", FRAMES), 404, 400)
    refused(service.get(f"{material.slice.series}/instances/{NOWHERE}/frames/1", FRAMES), 404)


@check("10.4.3.1", "A list of frames that is none is refused.")
def _(service: Service, material: Material) -> None:
    for numbers in ("0", "-1", "one", "1,,2"):
        refused(service.get(f"{material.cine.path}/frames/{numbers}", FRAMES), 400, 404)


@check("10.4.3.1", "Frames of what is no image are refused.")
def _(service: Service, material: Material) -> None:
    refused(service.get(f"{material.report.path}/frames/1", FRAMES), 400, 404, 406)


@check("10.4.3.1", "A media type that frames do not have is a 406.")
def _(service: Service, material: Material) -> None:
    refused(service.get(f"{material.slice.path}/frames/1", related("text/plain")), 406)
