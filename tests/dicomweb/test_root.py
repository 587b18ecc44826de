"""What all answers share, whichever door gives them."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.errors import StorageFull
from tests.dicomweb.doubles import authorise

READER = {"Authorization": "Bearer read"}


def door():
    """One that answers in every way."""

    async def word(request):
        return web.Response(text="x" * int(request.query.get("length", "1")))

    async def full(_):
        raise StorageFull("the disk is full", hint="bring the line up")

    async def defect(_):
        raise RuntimeError("DOE^JANE")

    async def body(request):
        return web.Response(text=str(len(await request.read())))

    async def replace(_):
        return web.Response(text="replaced")

    application = web.Application(middlewares=[access(authorise)])
    application.add_routes(
        [
            web.get("/word", word),
            web.get("/full", full),
            web.get("/defect", defect),
            web.post("/body", body),
            web.put("/replace", replace),
        ]
    )
    return application


async def opened(_):
    return web.json_response({})


@pytest.fixture
async def client():
    root = create_root({"/door": door()})
    root.router.add_get("/open", opened)
    async with TestClient(TestServer(root)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/door", 404),
        ("GET", "/door/nothing", 404),
        ("GET", "/door/full", 507),
        ("GET", "/door/defect", 500),
        ("DELETE", "/door/word", 405),
        ("PUT", "/door/replace", 403),
        ("PROPFIND", "/door/word", 405),
        ("POST", "/open", 405),
    ],
)
async def test_every_error_is_a_problem_document_that_names_its_request(
    client, method, path, status
):
    headers = {**READER, "X-Request-ID": "mine-1"}
    async with client.request(method, path, headers=headers) as answer:
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Request-ID"] == "mine-1"
        document = await answer.json(content_type=None)
    assert document["status"] == status
    assert document["request_id"] == "mine-1"
    assert document["title"]
    assert "DOE" not in json.dumps(document)


@pytest.mark.parametrize("path", ["/open", "/door/word", "/door/full", "/nothing", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_every_answer_names_its_request_and_is_not_to_be_guessed_at(client, path, method):
    names = set()
    for _ in range(2):
        async with client.request(method, path, headers=READER) as answer:
            names.add(answer.headers["X-Request-ID"])
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Server"] == "edge"
    assert len(names) == 2


async def test_a_door_keeps_its_lock_for_paths_that_it_does_not_know(client):
    for path in ("/door/word", "/door/nothing"):
        async with client.get(path) as answer:
            assert answer.status == 401
    async with client.get("/open") as answer:
        assert answer.status == 200


async def test_a_method_that_nobody_gave_a_right_for_is_for_admins(client):
    for token in ("read", "store"):
        headers = {"Authorization": f"Bearer {token}"}
        async with client.put("/door/replace", headers=headers) as answer:
            assert answer.status == 403


async def test_a_body_that_is_too_long_for_its_door_is_a_problem(client):
    headers = {"Authorization": "Bearer store"}
    async with client.post("/door/body", data=b"x" * 2_000_000, headers=headers) as answer:
        assert answer.status == 413
        assert answer.content_type == "application/problem+json"
