"""What is asked of the admin API is recorded, but for what shows no patient and changes nothing."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from edge.access.audit.entry import Event
from edge.admin.claims import claim_of_api


async def claim_of(method, path, template=None):
    async def handler(_):
        return web.Response()

    api, root = web.Application(), web.Application()
    api.router.add_route("*", template or path, handler)
    root.add_subapp("/api/v1", api)
    request = make_mocked_request(method, f"/api/v1{path}")
    request._match_info = await root.router.resolve(request)
    return claim_of_api(request)


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [
        ("GET", "/trash", Event.QUERIED),
        ("GET", "/worklist", Event.QUERIED),
        ("GET", "/something/new", Event.QUERIED),
        ("POST", "/worklist", Event.SCHEDULED),
        ("POST", "/trash", Event.ADMINISTERED),
        ("POST", "/peers", Event.NETWORK),
        ("DELETE", "/peers", Event.NETWORK),
        ("POST", "/tokens", Event.SECURITY),
        ("PUT", "/users", Event.USER),
        ("POST", "/identities", Event.USER),
        ("PATCH", "/something/new", Event.ADMINISTERED),
        ("GET", "/audit", Event.READ_RECORD),
        ("GET", "/audit/export", Event.READ_RECORD),
        ("GET", "/audit/check", Event.READ_RECORD),
        ("GET", "/backup", Event.SECURITY),
        ("GET", "/support", Event.ADMINISTERED),
        ("POST", "/keys/recovery", Event.KEY),
        ("POST", "/keys/disk", Event.KEY),
    ],
)
async def test_what_it_is_an_act_of(method, path, event):
    claim = await claim_of(method, path)
    assert claim.event is event
    assert claim.what == f"{method} /api/v1{path}"
    assert claim.is_durable is (event is not Event.QUERIED)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status"),
        ("GET", "/openapi.json"),
        ("GET", "/logs"),
        ("GET", "/keys/recovery"),
        ("HEAD", "/peers"),
        ("OPTIONS", "/trash"),
        ("GET", "/sync/history"),
    ],
)
async def test_what_shows_no_patient_makes_no_entry(method, path):
    assert await claim_of(method, path) is None


async def test_a_box_is_locked_even_if_the_record_can_not_be_written():
    claim = await claim_of("POST", "/keys/lock")
    assert (claim.event, claim.is_durable) == (Event.KEY, False)


async def test_names_in_a_path_stay_out_of_what_is_not_sealed():
    claim = await claim_of("GET", "/studies/1.2.3/edits", "/studies/{study_uid}/edits")
    assert (claim.what, claim.study_uid) == ("GET /api/v1/studies/{study_uid}/edits", "1.2.3")


@pytest.mark.parametrize(
    ("method", "path", "followed"),
    [
        ("GET", "/events", True),
        ("POST", "/archives/{name}/test", True),
        ("POST", "/settings/trial", True),
        ("POST", "/settings", False),
        ("GET", "/audit/export", False),
    ],
)
async def test_what_goes_on_until_who_asked_leaves(method, path, followed):
    claim = await claim_of(method, path.replace("{name}", "cloud"), path)
    assert claim.is_followed is followed
