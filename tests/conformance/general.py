"""What concerns every transaction: capabilities (PS3.18 8.9, H), errors (8.5) and deletion.

PS3.18 has no transaction that deletes studies; where a service offers HTTP's DELETE, what it must
say afterwards is in table 8.5-1.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.conformance.material import Material, Sample
from tests.conformance.retrieve import NOWHERE, instance
from tests.conformance.service import DICOM, JSON, Service, good, media_type, offered, refused
from tests.conformance.suite import Chapter, expect, not_offered

general = Chapter("C", "Retrieve Capabilities, errors, and deletion")
check = general.check

WADL = "application/vnd.sun.wadl+xml"
_WADL_NAMESPACE = "{http://wadl.dev.java.net/2009/02}"


def _wadl(service: Service) -> ET.Element:
    answer = good(service.request("OPTIONS", "/", accept=WADL), WADL)
    return ET.fromstring(answer.content)


# Capabilities


@check("8.9.1", "OPTIONS of the base URI gives a Capabilities Description.")
def _(service: Service, material: Material) -> None:
    answer = service.request("OPTIONS", "/", accept=f"{WADL}, application/json;q=0.5")
    good(answer, WADL, "application/json")
    expect(answer.content, "it has no payload")


@check("H", "It is one WADL application with one resources, whose base is the base URI.")
def _(service: Service, material: Material) -> None:
    root = _wadl(service)
    expect(root.tag == f"{_WADL_NAMESPACE}application", f"the root element is {root.tag}")
    found = root.findall(f"{_WADL_NAMESPACE}resources")
    expect(len(found) == 1, f"{len(found)} resources elements")
    base = found[0].attrib.get("base", "").rstrip("/")
    expect(base == service.base, f"base is {base} instead of {service.base}")


@check("H", "It describes the resources of table H-1 and their methods.")
def _(service: Service, material: Material) -> None:
    described: dict[str, set[str]] = {}

    def walk(element: ET.Element, path: str) -> None:
        for resource in element.findall(f"{_WADL_NAMESPACE}resource"):
            here = "/".join((path, resource.attrib["path"].strip("/"))).replace("//", "/")
            methods = resource.findall(f"{_WADL_NAMESPACE}method")
            described.setdefault(here, set()).update(one.attrib["name"] for one in methods)
            walk(resource, here)

    for resources in _wadl(service).findall(f"{_WADL_NAMESPACE}resources"):
        walk(resources, "")
    shapes = {_shape(path): methods for path, methods in described.items()}
    study, series = "/studies/{}", "/studies/{}/series/{}"
    one = f"{series}/instances/{{}}"
    for path, method in (
        ("/studies", "GET"),
        ("/studies", "POST"),
        (study, "GET"),
        (study, "POST"),
        (f"{study}/metadata", "GET"),
        (f"{study}/series", "GET"),
        (f"{study}/instances", "GET"),
        (series, "GET"),
        (f"{series}/metadata", "GET"),
        (f"{series}/instances", "GET"),
        (one, "GET"),
        (f"{one}/metadata", "GET"),
        (f"{one}/rendered", "GET"),
        (f"{one}/frames/{{}}", "GET"),
        ("/series", "GET"),
        ("/instances", "GET"),
    ):
        expect(method in shapes.get(path, ()), f"{method} {path} is not described")


def _shape(path: str) -> str:
    """A path with its variables left without names."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@check("8.9.4", "The description can be had as application/json.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = offered(service.request("OPTIONS", "/", accept="application/json"))
    if media_type(answer) != "application/json":
        not_offered(f"it is {media_type(answer) or 'without a media type'}")
    good(answer).json()


# Errors


@check("8.5", "A request without credentials is a 401 with WWW-Authenticate.", optional=True)
def _(service: Service, material: Material) -> None:
    if not service.credentials:
        not_offered("the service is used without credentials")
    answer = service.request("GET", "/studies", accept=JSON, anonymous=True)
    refused(answer, 401)
    expect(answer.headers.get("WWW-Authenticate"), "there is no WWW-Authenticate")


@check("8.5", "A method that a resource does not have is a 405 with Allow.")
def _(service: Service, material: Material) -> None:
    for path in ("/studies", f"{material.slice.path}/metadata"):
        answer = refused(service.request("PUT", path, content=b""), 405)
        expect("GET" in answer.headers.get("Allow", ""), f"Allow is {answer.headers.get('Allow')}")


@check("8.5", "An error explains itself in its payload.")
def _(service: Service, material: Material) -> None:
    for answer in (
        service.get(f"/studies/{NOWHERE}", DICOM),
        service.get(f"/studies/{NOWHERE}/metadata", JSON),
        service.get("/studies", JSON, limit="many"),
        service.get(material.slice.path, "audio/basic"),
    ):
        expect(answer.status_code >= 400, f"status {answer.status_code}, an error was expected")
        expect(answer.content.strip(), f"a {answer.status_code} without payload")


@check("8.4.2", "A message with a payload has a Content-Type, an error's too.")
def _(service: Service, material: Material) -> None:
    for answer in (
        service.get("/studies", JSON, PatientID=material.mine),
        service.get(f"/studies/{NOWHERE}", DICOM),
        service.get(material.slice.path, "audio/basic"),
    ):
        if answer.content:
            expect(media_type(answer), f"a {answer.status_code} has none")


@check("10.4.3.1", "A UID in the path that is none is a 400 or a 404.")
def _(service: Service, material: Material) -> None:
    for uid in ("1.2.x", "1..2", "1." + "2" * 64, "%00", "1.2%2F..%2F1.3"):
        refused(service.get(f"/studies/{uid}/metadata", JSON), 400, 404)


@check("10.1", "A path that is no resource of the service is a 404.")
def _(service: Service, material: Material) -> None:
    refused(service.get("/patients/1/pictures", JSON), 404)


# Deletion


def _deleted(service: Service, path: str) -> None:
    answer = offered(service.request("DELETE", path))
    refused(answer, 200, 202, 204)


def _stored(service: Service, material: Material) -> Sample:
    sample = material.fresh()
    good(service.store_instances([sample.data]))
    return sample


def _is_gone(service: Service, sample: Sample) -> None:
    """Of a resource that the server knows to be deleted it says 410 rather than 404."""
    refused(service.get(sample.path, DICOM), 410)
    refused(service.get(f"{sample.path}/metadata", JSON), 410)
    found = service.search("/instances", {"SOPInstanceUID": sample.sop_uid})
    expect(not found, "a search still finds it")


for _level in ("instance", "series", "study"):

    @check(
        "8.5",
        f"What was deleted with its {_level} is a 410, and no search finds it.",
        optional=True,
    )
    def _(service: Service, material: Material, level: str = _level) -> None:
        sample = _stored(service, material)
        _deleted(
            service,
            {"instance": sample.path, "series": sample.series, "study": sample.study}[level],
        )
        _is_gone(service, sample)


@check("8.5", "DELETE of what was never there is a 404.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = service.request("DELETE", f"/studies/{NOWHERE}")
    if answer.status_code in (405, 501):
        not_offered(f"status {answer.status_code}")
    refused(answer, 404)


@check("8.5", "DELETE of an instance leaves the others of its series.", optional=True)
def _(service: Service, material: Material) -> None:
    first = _stored(service, material)
    second = material.fresh(StudyInstanceUID=first.study_uid, SeriesInstanceUID=first.series_uid)
    good(service.store_instances([second.data]))
    _deleted(service, first.path)
    instance(service, second)
