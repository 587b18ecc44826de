"""The capability description: every route, nothing else, in two forms."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.capabilities import Capabilities
from edge.dicomweb.negotiation import Offer
from edge.dicomweb.root import create_root
from edge.dicomweb.transactions import Parameter, transaction

WADL = "application/vnd.sun.wadl+xml"
NS = {"w": "http://wadl.dev.java.net/2009/02"}
DICOM = Offer("application/dicom", multipart=True)


@transaction(
    "Search",
    "10.6",
    produces=["application/dicom+json"],
    parameters=[
        Parameter("limit", "xs:int"),
        Parameter("fuzzymatching", options=("true", "false")),
    ],
)
async def search(_):
    return web.json_response([])


@transaction("Store", "10.5", produces=["application/dicom+json"], consumes=[DICOM])
async def store(_):
    return web.json_response([])


@transaction("Retrieve", "10.4", produces=[DICOM, "application/dicom"])
async def retrieve(_):
    return web.json_response([])


def service():
    application = web.Application()
    application.router.add_get("/studies", search, name="studies")
    application.router.add_post("/studies", store)
    application.router.add_get("/studies/{study}", retrieve)
    application.router.add_get("/studies/{study}/series", search)
    application.router.add_get("/studies/{study}/bulkdata/{path:.+}", retrieve)
    Capabilities(application).mount()
    return application


@pytest.fixture
async def client():
    async with TestClient(TestServer(create_root({"/dicom-web": service()}))) as client:
        yield client


async def describe(client, path="/", *, method="OPTIONS", accept=WADL):
    async with client.request(method, f"/dicom-web{path}", headers={"Accept": accept}) as answer:
        assert answer.status == 200
        assert answer.content_type == accept
        return ET.fromstring(await answer.text()) if "xml" in accept else await answer.json()


def methods(element, place=""):
    """(path, method) of all that a resource element holds."""
    path = "/".join(part for part in (place, element.get("path")) if part)
    for method in element.findall("w:method", NS):
        yield path, method.get("name")
    for child in element.findall("w:resource", NS):
        yield from methods(child, path)


ALL = {
    ("studies", "GET"),
    ("studies", "POST"),
    ("studies/{study}", "GET"),
    ("studies/{study}/series", "GET"),
    ("studies/{study}/bulkdata/{path}", "GET"),
}


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", "/"), ("OPTIONS", ""), ("GET", "/"), ("GET", "")]
)
async def test_the_whole_service_is_described_at_its_base(client, method, path):
    document = await describe(client, path, method=method)
    [resources] = document.findall("w:resources", NS)
    assert resources.get("base") == f"{client.make_url('/dicom-web')}/"
    [root] = resources.findall("w:resource", NS)
    assert set(methods(root)) == ALL


async def test_a_resource_describes_itself_and_what_is_below(client):
    document = await describe(client, "/studies/1.2")
    [resource] = document.findall("w:resources/w:resource", NS)
    assert set(methods(resource)) == {one for one in ALL if one[0].startswith("studies/")}
    [study] = resource.findall("w:param", NS)
    assert study.attrib == {
        "name": "study",
        "style": "template",
        "type": "xs:string",
        "required": "true",
    }


async def test_a_method_says_what_it_takes_and_gives(client):
    document = await describe(client, "/studies")
    get, post = document.findall("w:resources/w:resource/w:method", NS)
    assert get.find("w:doc", NS).get("title") == "Search (PS3.18 10.6)"
    limit, fuzzy, in_query, accept = get.findall("w:request/w:param", NS)
    assert (limit.get("name"), limit.get("style"), limit.get("type")) == (
        "limit",
        "query",
        "xs:int",
    )
    assert [option.get("value") for option in fuzzy] == ["true", "false"]
    for one, name, style in ((in_query, "accept", "query"), (accept, "Accept", "header")):
        assert (one.get("name"), one.get("style")) == (name, style)
        assert one.get("default") == "application/dicom+json"
    [taken] = post.findall("w:request/w:representation", NS)
    assert taken.get("mediaType") == 'multipart/related; type="application/dicom"'
    [given] = post.findall("w:response/w:representation", NS)
    assert given.get("mediaType") == "application/dicom+json"


def count(element, name):
    """The elements of a name, below one of the JSON form."""
    lists = {key: value for key, value in element.items() if isinstance(value, list)}
    below = sum(count(child, name) for children in lists.values() for child in children)
    return len(lists.get(name, ())) + below


async def test_json_tells_the_same_as_wadl(client):
    document = await describe(client, accept="application/json")
    wadl = await describe(client)
    assert document["resources"]["base"] == wadl.find("w:resources", NS).get("base")
    for name in ("resource", "method", "param", "option", "representation"):
        assert count(document["resources"], name) == len(wadl.findall(f".//w:{name}", NS))


async def test_what_can_not_be_had_is_refused_with_what_can(client):
    async with client.options("/dicom-web/", headers={"Accept": "image/png"}) as answer:
        assert answer.status == 406
        assert WADL in (await answer.json(content_type=None))["hint"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/studies", "GET, HEAD, OPTIONS, POST"),
        ("/studies/1.2", "GET, HEAD, OPTIONS"),
        ("/studies/1.2/bulkdata/7FE00010", "GET, HEAD, OPTIONS"),
    ],
)
async def test_every_resource_says_what_may_be_done_with_it(client, path, allowed):
    async with client.options(f"/dicom-web{path}") as answer:
        assert answer.status == 200
        assert answer.headers["Allow"] == allowed
    async with client.put(f"/dicom-web{path}") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == allowed


async def test_a_handler_that_says_nothing_of_itself_is_not_mounted():
    async def silent(_):
        return web.json_response({})

    application = web.Application()
    application.router.add_get("/studies", silent, name="studies")
    with pytest.raises(LookupError, match="does not say"):
        Capabilities(application).mount()
