"""WADO-RS: metadata (PS3.18 10.4.1.1.2, 8.7.3.2, F) and bulk data (10.4.1.1.5)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.material import Material, Sample
from tests.conformance.model import (
    Attributes,
    bulk_uris,
    differences,
    faults,
    from_xml,
    names,
    value_of,
)
from tests.conformance.retrieve import NOWHERE
from tests.conformance.service import (
    FRAMES,
    JSON,
    NATIVE,
    XML,
    Service,
    good,
    offered,
    parts_of,
    refused,
)
from tests.conformance.suite import Chapter, expect, listed, not_offered

metadata = Chapter("M", "Retrieve Transaction (WADO-RS): metadata and bulk data")
check = metadata.check

OCTETS = "application/octet-stream"


def described(service: Service, path: str) -> list[Attributes]:
    """The metadata of a resource, in JSON."""
    found = good(service.get(f"{path}/metadata", JSON), JSON).json()
    expect(isinstance(found, list), "the metadata is no JSON array (F.2.1)")
    return list(found)


def description(service: Service, sample: Sample) -> Attributes:
    """The metadata of one instance."""
    found = described(service, sample.path)
    expect(len(found) == 1, f"{len(found)} objects instead of 1")
    return found[0]


def _various(material: Material) -> list[Sample]:
    """One of each kind."""
    texts = [material.report, material.document]
    return [material.slice, material.head, material.japanese, material.cine, *texts]


def _bulk(service: Service, material: Material) -> Iterator[tuple[str, str, bytes]]:
    """Every bulk value of the slice: its place, its URI, and the bytes that were stored."""
    found = list(bulk_uris(description(service, material.slice)))
    if not found:
        not_offered("nothing has a BulkDataURI: all values are inline")
    for path, uri in found:
        dataset = material.slice.dataset
        for tag in path[:-1]:
            dataset = dataset[int(tag, 16)].value[0]
        value = dataset[int(path[-1], 16)].value
        if isinstance(value, bytes):
            yield ".".join(path), uri, value


@check(
    "10.4.1.1.2", "The metadata of a study, a series and an instance has an object per instance."
)
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path, wanted in (
        (sample.study, (*material.thorax, material.scout)),
        (sample.series, material.thorax),
        (sample.path, (sample,)),
    ):
        found = sorted(value_of(item, "00080018") for item in described(service, path))
        expect(found == sorted(one.sop_uid for one in wanted), f"{path}: {len(found)} objects")


@check("10.4.1.1.2", "Metadata has every attribute of the instance, with its VR and values.")
def _(service: Service, material: Material) -> None:
    for sample in _various(material):
        found = differences(sample.dataset, description(service, sample))
        # Pixels are no metadata: the origin server may leave them to the frames.
        found = [text for text in found if text != "PixelData is missing"]
        expect(not found, f"{sample.dataset.PatientID}: {'; '.join(found[:3])}")


@check("F.2", "Metadata is made of DICOM JSON Model objects.")
def _(service: Service, material: Material) -> None:
    for sample in material.all():
        found = faults(description(service, sample))
        expect(not found, f"{sample.dataset.PatientID}: {'; '.join(found[:3])}")


@check("F.2.5", "An empty attribute has no Value, an empty value among others is null.")
def _(service: Service, material: Material) -> None:
    found = description(service, material.slice)
    expect(found.get("00201040") == {"vr": "LO"}, f"00201040 is {found.get('00201040')}")
    values = found.get("00101001", {}).get("Value", [])
    expect(len(values) == 3 and values[1] is None, f"00101001 is {values}")


@check("F.2.5", "An empty item of a sequence is an empty object.")
def _(service: Service, material: Material) -> None:
    items = description(service, material.slice).get("00101002", {}).get("Value")
    expect(items is not None and len(items) == 2 and items[1] == {}, f"the items are {items}")


@check("F.2", "Text comes in UTF-8, whatever character set it was stored in.")
def _(service: Service, material: Material) -> None:
    given = names(description(service, material.japanese), "00100010")
    expect(given.get("Ideographic") == "山田^太郎", f"the name is {given}")
    given = names(description(service, material.head), "00100010")
    expect(given == {"Alphabetic": "Höfer^Jürgen"}, f"the name is {given}")


@check("8.7.7", "Accept */* is given application/dicom+json.")
def _(service: Service, material: Material) -> None:
    good(service.get(f"{material.slice.path}/metadata", "*/*"), JSON)


@check("10.4.4", 'Metadata can be had as multipart/related; type="application/dicom+xml".')
def _(service: Service, material: Material) -> None:
    parts = parts_of(service.get(f"{material.slice.study}/metadata", XML), NATIVE)
    found = sorted(value_of(from_xml(part.body), "00080018") for part in parts)
    wanted = sorted(one.sop_uid for one in (*material.thorax, material.scout))
    expect(found == wanted, f"{len(parts)} parts, not one for each of 4 instances")


@check("F.3.1", "Metadata in XML has every attribute, with its VR and values, as in JSON.")
def _(service: Service, material: Material) -> None:
    for sample in _various(material):
        answer = service.get(f"{sample.path}/metadata", XML)
        [part] = parts_of(answer, NATIVE)
        found = differences(sample.dataset, from_xml(part.body))
        found = [text for text in found if text != "PixelData is missing"]
        expect(not found, f"{sample.dataset.PatientID}: {'; '.join(found[:3])}")


@check("8.7.8.1", "Of JSON and XML the one with the higher quality value is given.")
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.path}/metadata"
    good(service.get(path, f"{JSON};q=0.9, {XML};q=0.1"), JSON)
    parts_of(service.get(path, f"{JSON};q=0.1, {XML};q=0.9"), NATIVE)


@check("10.4.3.1", "Metadata of what is not there is a 404, in a form it does not have a 406.")
def _(service: Service, material: Material) -> None:
    refused(service.get(f"/studies/{NOWHERE}/metadata", JSON), 404)
    refused(service.get(f"{material.slice.series}/instances/{NOWHERE}/metadata", JSON), 404)
    refused(service.get(f"{material.slice.path}/metadata", "image/jpeg"), 406)


@check("8.4.2", "JSON is compressed for a client that accepts gzip, and says so.", optional=True)
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.study}/metadata"
    answer = service.request("GET", path, accept=JSON, headers={"Accept-Encoding": "gzip"})
    if "Content-Encoding" not in answer.headers:
        not_offered("it is not compressed")
    given = answer.headers["Content-Encoding"]
    expect(given == "gzip", f"Content-Encoding is {given}")
    expect(len(good(answer, JSON).json()) == 4, "not the metadata of 4 instances")
    plain = service.get(path, JSON)
    expect("Content-Encoding" not in plain.headers, "compressed for one who did not ask for it")
    expect("accept-encoding" in answer.headers.get("Vary", "").lower(), "no Vary (RFC 9110 12.5.5)")


@check("8.5", "If-None-Match with the ETag of metadata is a 304.", optional=True)
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.series}/metadata"
    tag = good(service.get(path, JSON)).headers.get("ETag")
    if not tag:
        not_offered("there is no ETag")
    headers = {"If-None-Match": tag}
    refused(service.request("GET", path, accept=JSON, headers=headers), 304)


# Bulk data


@check("F.2.6", "Every BulkDataURI leads to the bytes of its value, in sequences, too.")
def _(service: Service, material: Material) -> None:
    for place, uri, stored in _bulk(service, material):
        parts = parts_of(service.get(uri, FRAMES), OCTETS)
        expect(len(parts) == 1, f"{place}: {len(parts)} parts instead of 1")
        expect(parts[0].body == stored, f"{place}: other bytes")


@check("10.4.4", "A bulk value can be had without multipart, as application/octet-stream.")
def _(service: Service, material: Material) -> None:
    for place, uri, stored in _bulk(service, material):
        answer = good(service.get(uri, OCTETS), OCTETS)
        expect(answer.content == stored, f"{place}: other bytes")


@check("8.6.1.2", "A part that is a resource has a Content-Location.")
def _(service: Service, material: Material) -> None:
    for place, uri, _stored in _bulk(service, material):
        [part] = parts_of(service.get(uri, FRAMES), OCTETS)
        expect(part.headers.get("Content-Location"), f"{place}: none")


@check("8.5", "A Range of a bulk value is answered with 206 and that part of it.", optional=True)
def _(service: Service, material: Material) -> None:
    for place, uri, stored in _bulk(service, material):
        headers = {"Range": "bytes=10-19"}
        answer = service.request("GET", uri, accept=OCTETS, headers=headers)
        if answer.status_code == 200:
            not_offered("status 200, the whole value")
        refused(answer, 206)
        expect(answer.content == stored[10:20], f"{place}: other bytes")


for _level in ("study", "series", "instance"):

    @check("10.4.1.1.5", f"The bulk data of a whole {_level} can be had at …/bulkdata.")
    def _(service: Service, material: Material, level: str = _level) -> None:
        sample = material.slice
        path = {"study": sample.study, "series": sample.series, "instance": sample.path}[level]
        parts = parts_of(service.get(f"{path}/bulkdata", FRAMES), OCTETS)
        found = [part for part in parts if part.body == sample.dataset.PixelData]
        expect(found, f"the pixels are in none of {len(parts)} parts")


@check(
    "10.4.1.1.6", "The pixel data of a study, series or instance is at …/pixeldata.", optional=True
)
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path, wanted in (
        (sample.path, (sample,)),
        (sample.series, material.thorax),
        (sample.study, (*material.thorax, material.scout)),
    ):
        parts = parts_of(offered(service.get(f"{path}/pixeldata", FRAMES)), OCTETS)
        found = sorted(part.body for part in parts)
        stored = sorted(one.dataset.PixelData for one in wanted)
        expect(found == stored, f"{path}: {len(parts)} parts, not the pixels of {len(wanted)}")


@check("10.4.3.1", "Bulk data that is not there is a 404.")
def _(service: Service, material: Material) -> None:
    uris = [uri for _, uri, _ in _bulk(service, material)]
    missing = uris[0].replace(material.slice.sop_uid, NOWHERE)
    expect(missing != uris[0], f"the URIs do not name the instance: {listed(uris)}")
    refused(service.get(missing, FRAMES), 404)
