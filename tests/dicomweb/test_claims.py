"""Every transaction is an act of something, and what shows a patient is never nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request

from edge.access.audit.entry import Event
from edge.dicomweb.claims import claim_of_feed, claim_of_images, claim_of_uri
from edge.dicomweb.server import create_application
from tests.dicomweb.doubles import authorise

STUDY = "/studies/1.2.3"
INSTANCE = f"{STUDY}/series/1.2.4/instances/1.2.5"


async def claim_of(method, path):
    parts = SimpleNamespace()
    application = create_application(
        retrieval=parts,
        rendering=parts,
        transcoding=parts,
        catalogue=parts,
        admission=parts,
        deletion=parts,
        workers=parts,
        authorise=authorise,
    )
    request = make_mocked_request(method, path)
    request._match_info = await application.router.resolve(request)
    return claim_of_images(request)


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [
        ("GET", "/studies?PatientName=A*", Event.QUERIED),
        ("GET", "/series", Event.QUERIED),
        ("GET", f"{STUDY}/series", Event.ACCESSED),
        ("GET", f"{STUDY}/metadata", Event.ACCESSED),
        ("HEAD", f"{STUDY}/metadata", Event.ACCESSED),
        ("GET", STUDY, Event.SENT),
        ("GET", INSTANCE, Event.SENT),
        ("GET", f"{INSTANCE}/frames/1", Event.ACCESSED),
        ("GET", f"{INSTANCE}/frames/1/rendered", Event.ACCESSED),
        ("GET", f"{INSTANCE}/rendered", Event.ACCESSED),
        ("GET", f"{INSTANCE}/thumbnail", Event.ACCESSED),
        ("GET", f"{STUDY}/thumbnail", Event.SHOWN),
        ("GET", f"{STUDY}/thumbnail?viewport=176,176", Event.SHOWN),
        ("GET", f"{STUDY}/thumbnail?viewport=1024,1024", Event.ACCESSED),
        ("GET", f"{STUDY}/thumbnail?viewport=176,1760", Event.ACCESSED),
        ("GET", f"{STUDY}/thumbnail?viewport=many", Event.ACCESSED),
        ("GET", f"{STUDY}/series/1.2.4/thumbnail?viewport=176,176", Event.ACCESSED),
        ("GET", f"{INSTANCE}/bulkdata/7FE00010", Event.ACCESSED),
        ("GET", f"{STUDY}/pixeldata", Event.ACCESSED),
        ("POST", "/studies", Event.RECEIVED),
        ("POST", STUDY, Event.RECEIVED),
        ("DELETE", STUDY, Event.DELETED),
        ("DELETE", INSTANCE, Event.DELETED),
    ],
)
async def test_what_a_request_is_an_act_of(method, path, event):
    claim = await claim_of(method, path)
    assert claim.event is event
    assert claim.study_uid == ("1.2.3" if path.startswith(STUDY) else "")
    assert claim.is_durable is (event is Event.DELETED)


async def test_every_route_but_those_that_describe_the_service_is_recorded():
    assert await claim_of("OPTIONS", STUDY) is None
    assert await claim_of("GET", "/") is None


async def test_a_deletion_is_announced_and_says_of_what():
    claim = await claim_of("DELETE", f"{STUDY}/series/1.2.4?archive=true")
    assert claim.begins is Event.DELETING
    assert (claim.what, claim.target) == ("the series", "1.2.3/series/1.2.4")
    assert (await claim_of("DELETE", STUDY)).what == "the study"


def test_wado_uri_names_its_study_in_the_query():
    path = "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.4&objectUID=1.2.5"
    claim = claim_of_uri(make_mocked_request("GET", path))
    assert (claim.event, claim.study_uid, claim.sop_uid) == (Event.ACCESSED, "1.2.3", "1.2.5")
    claim = claim_of_uri(make_mocked_request("GET", f"{path}&contentType=application/dicom"))
    assert claim.event is Event.SENT


def test_the_change_feed_is_a_search_of_everything():
    assert claim_of_feed(make_mocked_request("GET", "/changefeed")).event is Event.QUERIED
