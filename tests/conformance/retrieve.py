"""WADO-RS: studies, series and instances, and how their media type and transfer syntax are chosen
(PS3.18 10.4.1.1.1, 8.7)."""

from __future__ import annotations

import io
import time
import warnings
import zipfile
from collections.abc import Iterable

import httpx
import pydicom
from pydicom.dataset import Dataset

from tests.conformance.material import EXPLICIT, Material, Sample
from tests.conformance.service import (
    DICOM,
    FRAMES,
    JSON,
    Service,
    good,
    media_type,
    offered,
    parts_of,
    refused,
    related,
)
from tests.conformance.suite import Chapter, expect, not_offered

retrieve = Chapter("R", "Retrieve Transaction (WADO-RS): DICOM resources")
check = retrieve.check

IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
RLE, MPEG2 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.100"
NOWHERE = "2.25.1"


def instance_of(data: bytes) -> Dataset:
    """A Part 10 file, read whole."""
    expect(data[128:132] == b"DICM", "it is no DICOM file (PS3.10 7.1)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's opinion of packaged files is known
        return pydicom.dcmread(io.BytesIO(data))


def syntax_of(dataset: Dataset) -> str:
    """The transfer syntax in the file meta information."""
    return str(dataset.file_meta.TransferSyntaxUID)


def instances(service: Service, path: str, accept: str = DICOM) -> list[Dataset]:
    """The parts of an answer, as data sets."""
    return [
        instance_of(part.body) for part in parts_of(service.get(path, accept), "application/dicom")
    ]


def instance(service: Service, sample: Sample, accept: str = DICOM) -> Dataset:
    """An instance by itself."""
    found = instances(service, sample.path, accept)
    expect(len(found) == 1, f"{len(found)} parts instead of 1")
    return found[0]


def are(found: Iterable[Dataset], wanted: Iterable[Sample]) -> None:
    """Expect that these are the samples, each once."""
    given = sorted(str(dataset.SOPInstanceUID) for dataset in found)
    expected = sorted(sample.sop_uid for sample in wanted)
    expect(given == expected, f"{len(given)} instances, not the {len(expected)} that there are")


def same(found: Dataset, stored: Dataset) -> None:
    """Expect the attributes that were stored; pixels are compared only where neither is packed."""
    for element in stored:
        if element.tag.element == 0 or element.keyword == "PixelData":
            continue
        expect(element.tag in found, f"{element.keyword or element.tag} is missing")
        given = found[element.tag]
        expect(given == element, f"{element.keyword or element.tag} is {given.value!r}"[:160])
    more = [item.keyword or str(item.tag) for item in found if item.tag not in stored]
    expect(not more, f"there are {', '.join(more)}, which were not stored")


# Resources


@check("10.4.1.1.1", "A study is retrieved as multipart, a part of application/dicom per instance.")
def _(service: Service, material: Material) -> None:
    are(instances(service, material.slice.study), (*material.thorax, material.scout))


@check(
    "10.4.1.1.1", "A series is retrieved as multipart, a part of application/dicom per instance."
)
def _(service: Service, material: Material) -> None:
    are(instances(service, material.slice.series), material.thorax)


@check("10.4.1.1.1", "An instance is retrieved as multipart with one part.")
def _(service: Service, material: Material) -> None:
    are([instance(service, material.slice)], [material.slice])


@check("10.4.2", "An uncompressed instance comes back with every attribute as it was stored.")
def _(service: Service, material: Material) -> None:
    for sample in (material.slice, material.head, material.report, material.document):
        found = instance(service, sample)
        same(found, sample.dataset)
        if "PixelData" in sample.dataset:
            expect(found.PixelData == sample.dataset.PixelData, "other pixels")


@check("10.4.4", "application/dicom without multipart can be had of a single instance.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get(material.slice.path, "application/dicom"), "application/dicom")
    are([instance_of(answer.content)], [material.slice])


@check(
    "10.4.4", "application/dicom without multipart is for single instances: of a study it is a 406."
)
def _(service: Service, material: Material) -> None:
    refused(service.get(material.slice.study, "application/dicom"), 406)


@check("10.4.4", "A study, series or instance as application/octet-stream is its bulk data.")
def _(service: Service, material: Material) -> None:
    for path, count in ((material.slice.path, 1), (material.slice.series, 3)):
        parts = parts_of(service.get(path, FRAMES), "application/octet-stream")
        pixels = [part for part in parts if part.body == material.slice.dataset.PixelData]
        expect(len(pixels) == 1, f"the pixels are in {len(pixels)} of {len(parts)} parts")
        expect(len(parts) >= count, f"{len(parts)} parts of {count} instances")


@check("10.4.3.1", "A study, series or instance that is not there is a 404.")
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path in (
        f"/studies/{NOWHERE}",
        f"{sample.study}/series/{NOWHERE}",
        f"{sample.series}/instances/{NOWHERE}",
    ):
        refused(service.get(path, DICOM), 404)


@check("10.4.3.1", "An instance is not found below a series or study that it is not of.")
def _(service: Service, material: Material) -> None:
    sample, other = material.slice, material.head
    for path in (
        f"{other.study}/series/{sample.series_uid}/instances/{sample.sop_uid}",
        f"{sample.study}/series/{material.scout.series_uid}/instances/{sample.sop_uid}",
        f"{other.study}/series/{sample.series_uid}",
    ):
        refused(service.get(path, DICOM), 404)


# Transfer syntax


for _name in ("RLE Lossless", "JPEG-LS Lossless", "JPEG 2000 Lossless"):

    @check("8.7.3.4", f"Without a transfer-syntax, {_name} comes as Explicit VR Little Endian.")
    def _(service: Service, material: Material, name: str = _name) -> None:
        found = instance(service, material.compressed[name])
        expect(syntax_of(found) == EXPLICIT, f"the transfer syntax is {syntax_of(found)}")
        expect(found.PixelData == material.reference.dataset.PixelData, "other pixels")
        same(found, material.compressed[name].dataset)


@check(
    "8.7.3.4", "Without a transfer-syntax, a deflated instance comes as Explicit VR Little Endian."
)
def _(service: Service, material: Material) -> None:
    sample = material.compressed["Deflated Explicit VR Little Endian"]
    found = instance(service, sample)
    expect(syntax_of(found) == EXPLICIT, f"the transfer syntax is {syntax_of(found)}")
    same(found, sample.dataset)


@check("8.7.3.4", "Without a transfer-syntax, a lossy instance comes decompressed or as it is.")
def _(service: Service, material: Material) -> None:
    found = instance(service, material.lossy)
    syntax = syntax_of(found)
    expect(syntax in (EXPLICIT, material.lossy.transfer_syntax), f"the transfer syntax is {syntax}")
    if syntax == EXPLICIT:
        size = len(found.PixelData)
        expect(size == 100 * 100 * 3, f"{size} bytes of pixels instead of 30000")


@check("8.7.3.5.2", "transfer-syntax=* is supported: any form will do, with the same content.")
def _(service: Service, material: Material) -> None:
    for sample in (*material.compressed.values(), material.lossy, material.slice):
        same(instance(service, sample, related("application/dicom", "*")), sample.dataset)


@check("8.7.3.5.2", "The transfer syntax that an instance is stored in can be asked for.")
def _(service: Service, material: Material) -> None:
    for sample in (*material.compressed.values(), material.lossy, material.slice):
        wanted = sample.transfer_syntax
        found = instance(service, sample, related("application/dicom", wanted))
        expect(syntax_of(found) == wanted, f"{syntax_of(found)} instead of {wanted}")


@check("8.7.8.1", "A transfer syntax that can't be given is a 406.")
def _(service: Service, material: Material) -> None:
    refused(service.get(material.slice.path, related("application/dicom", MPEG2)), 406)


@check("8.7.3", "Implicit VR Little Endian and Explicit VR Big Endian are not used on the web.")
def _(service: Service, material: Material) -> None:
    for syntax in (IMPLICIT, BIG_ENDIAN):
        answer = service.get(material.slice.path, related("application/dicom", syntax))
        if answer.status_code == 406:
            continue
        [part] = parts_of(answer, "application/dicom")
        given = syntax_of(instance_of(part.body))
        expect(given not in (IMPLICIT, BIG_ENDIAN), f"the transfer syntax is {given}")


# Negotiation


@check("8.7.8.1", "Of several media types the one with the highest quality value is given.")
def _(service: Service, material: Material) -> None:
    sample = material.compressed["RLE Lossless"]
    stored, plain = (related("application/dicom", syntax) for syntax in (RLE, EXPLICIT))
    for accept, wanted in (
        (f"{stored};q=0.2, {plain};q=0.9", EXPLICIT),
        (f"{stored};q=0.9, {plain};q=0.2", RLE),
        (f"{plain};q=0, {stored}", RLE),
    ):
        given = syntax_of(instance(service, sample, accept))
        expect(given == wanted, f"{accept}: {given}")


@check("8.7.8.1", "A media type that can't be given is passed over for one that can.")
def _(service: Service, material: Material) -> None:
    accept = (
        f"{related('application/dicom', MPEG2)}, {related('application/dicom', EXPLICIT)};q=0.1"
    )
    given = syntax_of(instance(service, material.slice, accept))
    expect(given == EXPLICIT, f"the transfer syntax is {given}")


@check("8.7.7", "Members of Accept that are not valid are ignored.")
def _(service: Service, material: Material) -> None:
    found = instance(service, material.slice, f"gibberish, ;;=, {DICOM}")
    are([found], [material.slice])


def _the_default_in(answer: httpx.Response) -> None:
    kind = media_type(good(answer))
    expect(kind in ("multipart/related", "application/dicom"), f"the media type is {kind}")
    data = answer.content
    if kind == "multipart/related":
        [part] = parts_of(answer, "application/dicom")
        data = part.body
    given = syntax_of(instance_of(data))
    expect(given == EXPLICIT, f"the transfer syntax is {given}")


@check("8.7.7", "Accept */* is given the default: application/dicom in Explicit VR Little Endian.")
def _(service: Service, material: Material) -> None:
    _the_default_in(service.get(material.compressed["RLE Lossless"].path, "*/*"))


@check("8.7.5", "A request without an Accept header field is a 406, or is given the default.")
def _(service: Service, material: Material) -> None:
    # The Standard has the 406; RFC 9110 12.5.1 reads what is left out as */*, and so do clients.
    answer = service.get(material.compressed["RLE Lossless"].path, None)
    if answer.status_code == 406:
        refused(answer, 406)
    else:
        _the_default_in(answer)


@check(
    "8.7.5",
    "Acceptable media types that are both DICOM's and rendered are a 400.",
    optional=True,
)
def _(service: Service, material: Material) -> None:
    answer = service.get(material.slice.path, "application/dicom, image/png")
    if answer.is_success:
        # Viewers send lists that hold both.
        not_offered("one of them is given")
    refused(answer, 400)


@check("10.4.3.1", "A media type that an instance does not have is a 406.")
def _(service: Service, material: Material) -> None:
    refused(service.get(material.slice.path, "audio/basic"), 406)


@check("8.3.3.1", "The accept query parameter is supported.")
def _(service: Service, material: Material) -> None:
    path = material.slice.path
    for resource, kind in ((path, "application/dicom"), (f"{path}/metadata", JSON)):
        good(service.request("GET", resource, query={"accept": kind}), kind)


# What HTTP offers besides


def _one(service: Service, material: Material, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    path, accept = material.slice.path, "application/dicom"
    return service.request("GET", path, accept=accept, headers=given)


@check("8.5", "A Range of an instance is answered with 206 and that part of it.", optional=True)
def _(service: Service, material: Material) -> None:
    whole = good(_one(service, material)).content
    answer = _one(service, material, Range="bytes=100-299")
    if answer.status_code == 200:
        not_offered("status 200, the whole instance")
    refused(answer, 206)
    expect(answer.content == whole[100:300], "the bytes are not those of the range")
    given, wanted = answer.headers.get("Content-Range"), f"bytes 100-299/{len(whole)}"
    expect(given == wanted, f"Content-Range is {given!r} instead of {wanted!r}")
    last = refused(_one(service, material, Range="bytes=-50"), 206)
    expect(last.content == whole[-50:], "bytes=-50 are not the last 50 bytes")


@check("RFC 9110 14.2", "A Range that can't be satisfied is a 416 with the length.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = _one(service, material, Range="bytes=99999999-")
    if answer.status_code == 200:
        not_offered("status 200, the whole instance")
    refused(answer, 416)
    length = len(good(_one(service, material)).content)
    given = answer.headers.get("Content-Range")
    expect(given == f"bytes */{length}", f"Content-Range is {given!r}")


@check("8.5", "If-None-Match with the ETag of an instance is a 304 without payload.", optional=True)
def _(service: Service, material: Material) -> None:
    tag = good(_one(service, material)).headers.get("ETag")
    if not tag:
        not_offered("there is no ETag")
    answer = refused(_one(service, material, If_None_Match=tag), 304)
    expect(not answer.content, "there is a payload")
    good(_one(service, material, If_None_Match='"another"'))


@check("RFC 9110 13.1.3", "If-Modified-Since with the Last-Modified is a 304.", optional=True)
def _(service: Service, material: Material) -> None:
    for pause in (0, 1, 2):
        time.sleep(pause)  # of what has just come, a careful server gives no date (RFC 9110 8.8.2)
        if date := good(_one(service, material)).headers.get("Last-Modified"):
            break
    else:
        not_offered("there is no Last-Modified")
    refused(_one(service, material, If_Modified_Since=date), 304)


@check("RFC 9110 9.3.2", "HEAD is answered as GET is, without the payload.", optional=True)
def _(service: Service, material: Material) -> None:
    path, accept = material.slice.path, "application/dicom"
    answer = offered(service.request("HEAD", path, accept=accept))
    wanted = good(_one(service, material))
    expect(answer.status_code == 200, f"status {answer.status_code}")
    expect(not answer.content, "there is a payload")
    for name in ("Content-Type", "Content-Length"):
        given = answer.headers.get(name)
        if given is not None or name == "Content-Type":
            expect(given == wanted.headers.get(name), f"{name} is {given!r}")


@check("10.4.4", "A study can be had as application/zip: a file per instance.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = offered(service.get(material.slice.study, "application/zip"))
    good(answer, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        expect(archive.testzip() is None, "a member is damaged")
        members = [archive.read(item) for item in archive.infolist() if not item.is_dir()]
    found = [instance_of(data) for data in members if data[128:132] == b"DICM"]
    directory = "1.2.840.10008.1.3.10"  # a DICOMDIR may be beside them (PS3.10 8.6)
    images = [
        dataset for dataset in found if dataset.file_meta.MediaStorageSOPClassUID != directory
    ]
    are(images, (*material.thorax, material.scout))
