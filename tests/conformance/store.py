"""STOW-RS: the Store Transaction (PS3.18 10.5) and its response (I).

Each check stores instances of its own, so that none depends on another.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
from collections.abc import Iterable

import httpx
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.conformance.material import EXPLICIT, SECONDARY_CAPTURE, Material, Sample, as_sample, uid
from tests.conformance.model import Attributes, attributes_of, from_xml, to_xml, value_of
from tests.conformance.retrieve import instance, same, syntax_of
from tests.conformance.service import (
    JSON,
    NATIVE,
    Service,
    good,
    media_type,
    parts_of,
    path_of,
    payload,
    refused,
    related,
)
from tests.conformance.suite import Chapter, expect

store = Chapter("S", "Store Transaction (STOW-RS)")
check = store.check

REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"
SOP_CLASS, SOP_UID = "00081150", "00081155"
FAILURE_REASON, RETRIEVE_URL = "00081197", "00081190"
OCTETS = "application/octet-stream"


def report(answer: httpx.Response, *statuses: int) -> Attributes:
    """The Store Instances Response Module of an answer with one of these statuses (I.1)."""
    refused(answer, *statuses)
    kind = media_type(answer)
    expect(kind in (JSON, "application/json"), f"the response is {kind or 'without a media type'}")
    found = answer.json()
    # F.2.1: results are an array; a response module is one object, as all examples have it.
    found = found[0] if isinstance(found, list) and len(found) == 1 else found
    expect(isinstance(found, dict), "the response is no DICOM JSON Model object")
    return dict(found)


def items(module: Attributes, tag: str) -> list[Attributes]:
    """Of a sequence of the response."""
    return list(module.get(tag, {}).get("Value", ()))


def stored(module: Attributes, samples: Iterable[Sample]) -> None:
    """Expect that these, and no others, are said to be stored."""
    given = sorted(value_of(item, SOP_UID) for item in items(module, REFERENCED))
    wanted = sorted(sample.sop_uid for sample in samples)
    expect(given == wanted, f"{len(given)} are said to be stored, {len(wanted)} should be")


def failed(module: Attributes, samples: Iterable[Sample]) -> None:
    """Expect that these, and no others, are said to have failed, each with its reason."""
    found = items(module, FAILED)
    given = sorted(value_of(item, SOP_UID) for item in found)
    wanted = sorted(sample.sop_uid for sample in samples)
    expect(given == wanted, f"{len(given)} are said to have failed, {len(wanted)} should have")
    for item in found:
        expect(value_of(item, SOP_CLASS), "a failed item has no Referenced SOP Class UID")
        reason = value_of(item, FAILURE_REASON)
        expect(isinstance(reason, int), f"a Failure Reason is {reason!r} (table I.1-1)")


def absent(service: Service, sample: Sample) -> None:
    """Expect that the instance can't be retrieved."""
    refused(service.get(sample.path, related("application/dicom")), 404)


# What is stored


@check("10.5.1.4", "Instances are stored as parts of application/dicom, and can be retrieved then.")
def _(service: Service, material: Material) -> None:
    samples = [material.fresh(), material.fresh()]
    answer = service.store_instances(sample.data for sample in samples)
    stored(report(answer, 200), samples)
    for sample in samples:
        same(instance(service, sample), sample.dataset)


@check("10.5.1.1.1", "Instances of one study are stored at /studies/{study}.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    stored(report(service.store_instances([sample.data], path=sample.study), 200), [sample])


@check("10.5.4", "One instance is stored as application/dicom without multipart.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    headers = {"Content-Type": "application/dicom"}
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=sample.data)
    stored(report(answer, 200), [sample])


@check("10.5.1.3", "A payload with Content-Encoding gzip is stored.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    kind, body = payload([("Content-Type: application/dicom", sample.data)], "application/dicom")
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    content = gzip.compress(body)
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=content)
    stored(report(answer, 200), [sample])


@check("8.7.3.5.2", "A compressed instance is stored, with the transfer syntax of its part named.")
def _(service: Service, material: Material) -> None:
    for packed in material.compressed.values():
        dataset = copy.deepcopy(packed.dataset)
        dataset.StudyInstanceUID, dataset.SOPInstanceUID = uid(), uid()
        made = as_sample(dataset, packed.transfer_syntax)
        head = f"Content-Type: application/dicom; transfer-syntax={made.transfer_syntax}"
        stored(report(service.store([(head, made.data)]), 200), [made])


# The response


@check("I.1", "A stored item has its SOP Class, its SOP Instance and the URL to retrieve it from.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    [item] = items(report(service.store_instances([sample.data]), 200), REFERENCED)
    expect(value_of(item, SOP_CLASS) == str(sample.dataset.SOPClassUID), "another SOP Class UID")
    url = value_of(item, RETRIEVE_URL)
    expect(url, "the item has no Retrieve URL")
    expect(path_of(url, service) == sample.path, f"{url} is not {sample.path}")


@check("I.1", "The response has the Retrieve URL of the study.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    module = report(service.store_instances([sample.data]), 200)
    url = value_of(module, RETRIEVE_URL)
    expect(url, "there is none")
    expect(path_of(url, service) == sample.study, f"{url} is not {sample.study}")


@check("10.5.4", "The response can be had as application/dicom+xml.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    accept = f"{NATIVE}, {related(NATIVE)}"
    answer = good(service.store_instances([sample.data], accept=accept))
    document = answer.content
    if media_type(answer) == "multipart/related":
        [part] = parts_of(answer, NATIVE)
        document = part.body
    else:
        good(answer, NATIVE)
    stored(from_xml(document), [sample])


@check("10.5.4", "Accept */* is given a response in application/dicom+json.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    stored(report(service.store_instances([sample.data], accept="*/*"), 200), [sample])


# What can't be stored


@check("10.5.3.1", "Instances of another study than the path's are a 409, and are not stored.")
def _(service: Service, material: Material) -> None:
    sample, other = material.fresh(), material.fresh()
    answer = service.store_instances([sample.data], path=other.study)
    failed(report(answer, 409), [sample])
    absent(service, sample)


@check("10.5.3.1", "If only some instances can be stored, it is a 202 that lists both kinds.")
def _(service: Service, material: Material) -> None:
    sample, other = material.fresh(), material.fresh()
    answer = service.store_instances([sample.data, other.data], path=sample.study)
    module = report(answer, 202)
    stored(module, [sample])
    failed(module, [other])
    instance(service, sample)
    absent(service, other)


@check("10.5.3.1", "A part that can't be understood does not keep the others from being stored.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    answer = service.store_instances([b"this is no DICOM file" * 50, sample.data])
    module = report(answer, 202)
    stored(module, [sample])
    expect(items(module, FAILED) or items(module, OTHER), "the failure is nowhere (table I.1-1)")
    for item in items(module, OTHER):
        expect(value_of(item, FAILURE_REASON) is not None, "it has no Failure Reason")


@check("10.5.3.1", "If no part can be understood, it is a 400.")
def _(service: Service, material: Material) -> None:
    refused(service.store_instances([b"this is no DICOM file" * 50]), 400)


@check("10.5.3.1", "A media type that is not supported is a 415.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    for kind in ("text/plain", 'multipart/related; type="text/plain"; boundary=x'):
        headers = {"Content-Type": kind}
        answer = service.request(
            "POST", "/studies", accept=JSON, headers=headers, content=sample.data
        )
        refused(answer, 415)
    absent(service, sample)


@check("10.5.3.1", "A payload that is not what its Content-Type says is a 400.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    kind, body = payload([("Content-Type: application/dicom", sample.data)], "application/dicom")
    for what, given, content in (
        ("another boundary", kind.replace("boundary=", "boundary=x"), body),
        ("no boundary", kind.partition("; boundary")[0], body),
        ("no payload", kind, b""),
    ):
        answer = service.request(
            "POST", "/studies", accept=JSON, headers={"Content-Type": given}, content=content
        )
        expect(answer.status_code == 400, f"{what}: status {answer.status_code} instead of 400")


@check(
    "10.5.3.1", "A payload that ends before its last boundary is a 400; no half instance is stored."
)
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    kind, body = payload([("Content-Type: application/dicom", sample.data)], "application/dicom")
    answer = service.request(
        "POST", "/studies", accept=JSON, headers={"Content-Type": kind}, content=body[:-3000]
    )
    refused(answer, 400)
    absent(service, sample)


# Metadata and bulk data


def _in_parts(sample: Sample) -> tuple[Attributes, list[tuple[str, bytes]]]:
    """An instance as metadata and bulk data (10.5.1.4)."""
    bulk: list[tuple[str, bytes]] = []

    def apart(value: bytes) -> str:
        location = f"bulk/{len(bulk) + 1}"
        bulk.append((f"Content-Type: {OCTETS}\r\nContent-Location: {location}", value))
        return location

    return attributes_of(sample.dataset, apart), bulk


@check("10.5.1.4", "An instance is stored as metadata in JSON with its bulk data in parts.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    attributes, bulk = _in_parts(sample)
    parts = [(f"Content-Type: {JSON}", json.dumps([attributes]).encode()), *bulk]
    stored(report(service.store(parts, root=JSON), 200), [sample])
    found = instance(service, sample)
    same(found, sample.dataset)
    expect(found.PixelData == sample.dataset.PixelData, "other pixels")


@check("10.5.1.4", "Instances are stored as metadata in XML, a part each, with bulk data in parts.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    attributes, bulk = _in_parts(sample)
    parts = [(f"Content-Type: {NATIVE}", to_xml(attributes)), *bulk]
    stored(report(service.store(parts, root=NATIVE), 200), [sample])
    found = instance(service, sample)
    same(found, sample.dataset)
    expect(found.PixelData == sample.dataset.PixelData, "other pixels")


@check("10.5.1.4", "Metadata of several instances is one JSON array in one part.")
def _(service: Service, material: Material) -> None:
    samples = [material.fresh(), material.fresh()]
    objects, bulk = [], []
    for number, sample in enumerate(samples):
        attributes, parts = _in_parts(sample)
        text = json.dumps(attributes).replace("bulk/", f"bulk-{number}/")
        objects.append(json.loads(text))
        bulk += [(head.replace("bulk/", f"bulk-{number}/"), body) for head, body in parts]
    parts = [(f"Content-Type: {JSON}", json.dumps(objects).encode()), *bulk]
    stored(report(service.store(parts, root=JSON), 200), samples)


@check("10.5.3.1", "Metadata that refers to bulk data which is missing is refused.")
def _(service: Service, material: Material) -> None:
    sample = material.fresh()
    attributes, _bulk = _in_parts(sample)
    parts = [(f"Content-Type: {JSON}", json.dumps([attributes]).encode())]
    refused(service.store(parts, root=JSON), 400, 409)
    absent(service, sample)


def _picture() -> Image.Image:
    """Of a few colours, so that GIF holds it as it is."""
    image = Image.new("RGB", (32, 24), (200, 40, 40))
    image.paste((40, 200, 40), (8, 6, 20, 18))
    return image


def _from_picture(
    service: Service, material: Material, kind: str, data: bytes, syntax: str = ""
) -> Dataset:
    """Store an instance whose metadata leaves the image to the picture (10.5.2)."""
    sample = material.fresh()
    attributes, _bulk = _in_parts(sample)
    pixel_module = [tag for tag in attributes if tag.startswith("0028") or tag == "7FE00010"]
    for tag in (*pixel_module, "00291010", "00291012"):
        attributes.pop(tag, None)
    attributes["00080016"] = {"vr": "UI", "Value": [SECONDARY_CAPTURE]}
    attributes["00080064"] = {"vr": "CS", "Value": ["WSD"]}
    attributes["7FE00010"] = {"vr": "OB", "BulkDataURI": "picture"}
    named = f"; transfer-syntax={syntax}" if syntax else ""
    parts = [
        (f"Content-Type: {JSON}", json.dumps([dict(sorted(attributes.items()))]).encode()),
        (f"Content-Type: {kind}{named}\r\nContent-Location: picture", data),
    ]
    stored(report(service.store(parts, root=JSON), 200), [sample])
    found = instance(service, sample, related("application/dicom", "*"))
    expect((found.Rows, found.Columns) == (24, 32), f"it is {found.Rows} x {found.Columns}")
    return found


for _format, _kind, _syntax in (
    ("JPEG", "image/jpeg", "1.2.840.10008.1.2.4.50"),
    ("JPEG2000", "image/jp2", "1.2.840.10008.1.2.4.90"),
):

    @check("10.5.2", f"Metadata with {_kind} is stored: described by the picture, and unchanged.")
    def _(
        service: Service,
        material: Material,
        form: str = _format,
        kind: str = _kind,
        syntax: str = _syntax,
    ) -> None:
        buffer = io.BytesIO()
        _picture().save(buffer, form, **({"no_jp2": True} if form == "JPEG2000" else {}))
        data = buffer.getvalue()
        found = _from_picture(service, material, kind, data, syntax)
        given = syntax_of(found)
        expect(given == syntax, f"the transfer syntax is {given}, not {syntax}")
        [frame] = generate_frames(found.PixelData, number_of_frames=1)
        # A fragment is of even length (PS3.5 A.4).
        expect(frame.rstrip(b"\0") == data.rstrip(b"\0"), "the picture was changed")


for _format, _kind in (("PNG", "image/png"), ("GIF", "image/gif")):

    @check("10.5.2", f"Metadata with {_kind} is stored, transformed without loss.")
    def _(service: Service, material: Material, form: str = _format, kind: str = _kind) -> None:
        buffer = io.BytesIO()
        _picture().save(buffer, form)
        found = _from_picture(service, material, kind, buffer.getvalue())
        path = (
            f"/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
            f"/instances/{found.SOPInstanceUID}/rendered"
        )
        shown = Image.open(io.BytesIO(good(service.get(path, "image/png"), "image/png").content))
        for at in ((2, 2), (12, 10)):
            given, wanted = shown.convert("RGB").getpixel(at), _picture().getpixel(at)
            expect(given == wanted, f"{given} at {at} instead of {wanted}")
        expect(syntax_of(found) == EXPLICIT or found.PixelData, f"the syntax is {syntax_of(found)}")
