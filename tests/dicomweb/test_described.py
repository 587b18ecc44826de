"""The service's own description is true: what it says can be had, can be had, and nothing else."""

from __future__ import annotations

import pytest

from edge.dicomweb.server import create_application
from tests.dicomweb.doubles import (
    Admission,
    Catalogue,
    Deletion,
    Rendering,
    Retrieval,
    Transcoding,
    authorise,
)

EXAMPLES = {"viewport": ["32,32"], "window": ["40,400,linear"]}
WARNED = {"annotation"}
"""Not done, and said so."""
CONDITIONAL = ("image/", "video/", "text/", "application/pdf")
"""Forms that depend on how an instance is stored."""


@pytest.fixture
async def described(service):
    """(path, method as described) of all that the description holds."""

    def flatten(resources, place=""):
        for resource in resources:
            path = "/".join(part for part in (place, resource["path"]) if part)
            for method in resource.get("method", ()):
                yield path, method
            yield from flatten(resource.get("resource", ()), path)

    async with service.http.get(f"{service.base}/", headers={"Accept": "application/json"}) as got:
        document = await got.json()
    assert document["resources"]["base"] == f"{service.base}/"
    return list(flatten(document["resources"]["resource"]))


@pytest.fixture
def fill(service, packaged):
    """Gives a described path the UIDs of an instance that is there."""
    ref = service.retrieval.add(packaged("CT_small.dcm"))[0].entry.ref
    values = {"study": ref.study_uid, "series": ref.series_uid, "instance": ref.sop_uid}
    values |= {"frames": "1", "path": "7FE00010"}
    return lambda path: f"{service.base}/{path.format(**values)}"


def media_types(method):
    [answer] = method["response"]
    return [one["mediaType"] for one in answer.get("representation", ())]


async def test_every_route_is_described_and_every_description_is_a_route(described, workers):
    retrieval = Retrieval()
    application = create_application(
        retrieval=retrieval,
        rendering=Rendering(retrieval),
        transcoding=Transcoding(),
        catalogue=Catalogue(),
        admission=Admission(),
        deletion=Deletion(),
        workers=workers,
        authorise=authorise,
    )
    routes = {
        (route.resource.canonical.strip("/"), route.method)
        for route in application.router.routes()
        if route.method not in ("HEAD", "OPTIONS")
    }
    assert {(path, method["name"]) for path, method in described} == routes - {("", "GET")}


async def test_every_form_that_is_described_can_be_had(service, described, fill):
    service.catalogue.results = [{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]
    asked = 0
    for path, method in described:
        if method["name"] != "GET":
            continue
        for media_type in media_types(method):
            async with service.http.get(fill(path), headers={"Accept": media_type}) as answer:
                if any(kind in media_type for kind in CONDITIONAL) and answer.status == 406:
                    continue
                assert answer.status == 200, (path, media_type)
                kind = media_type.partition(";")[0]
                assert answer.headers["Content-Type"].startswith(kind), (path, media_type)
                await answer.read()
                asked += 1
    assert asked >= len(described)


async def test_every_parameter_that_is_described_is_understood(service, described, fill):
    for path, method in described:
        if method["name"] != "GET":
            continue
        for parameter in method["request"][0].get("param", ()):
            if parameter["style"] != "query":
                continue
            name = parameter["name"]
            values = [option["value"] for option in parameter.get("option", ())]
            if name == "{attributeID}":
                name, values = "PatientID", ["1"]
            values = values or EXAMPLES.get(name, [])
            for value in values or (["1"] if "Integer" in parameter["type"] else ["all"]):
                if any(kind in value for kind in CONDITIONAL):
                    continue
                async with service.http.get(fill(path), params={name: value}) as answer:
                    assert answer.status in (200, 204), (path, name)  # nothing found, in XML
                    assert ("Warning" in answer.headers) is (name in WARNED)


async def test_every_body_that_is_described_is_taken(service, described, fill):
    for path, method in described:
        for taken in method["request"][0].get("representation", ()):
            headers = {"Content-Type": f"{taken['mediaType']}; boundary=x"}
            async with service.http.request(
                method["name"], fill(path), data=b"--x--", headers=headers
            ) as answer:
                assert answer.status not in (405, 415), (path, taken)
