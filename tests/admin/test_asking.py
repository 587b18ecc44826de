"""What the admin API does not read it does not let pass for understood."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from tests.admin.test_openapi import KEEPER
from tests.admin.test_openapi import base as base  # noqa: PLC0414 - a fixture


async def ask(method, url, **options):
    async with (
        ClientSession(headers=KEEPER) as http,
        http.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_body_where_none_is_read_is_refused_and_nothing_is_done(base):
    patients = [{"patient_id": "P1"}, {"patient_id": "P2"}]
    assert await ask("POST", f"{base}/expected", json=patients) == (200, {"changed": 2})
    status, said = await ask("DELETE", f"{base}/expected", json=[{"patient_id": "P1"}])
    assert status == 400
    assert said["hint"] == (
        "say it with parameters in the query, as in ?patient_id=…: patient_id, date"
    )
    assert (await ask("GET", f"{base}/expected"))[1]["total"] == 2
    assert await ask("DELETE", f"{base}/expected?patient_id=P1") == (200, {"changed": 1})
    [left] = (await ask("GET", f"{base}/expected"))[1]["items"]
    assert left["patient_id"] == "P2"


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("DELETE", "/pins", "?kind=…: kind, value, issuer"),
        ("GET", "/trash", "?limit=…: limit, offset"),
        ("GET", "/status", "leave it out"),
    ],
)
async def test_the_same_holds_for_all_that_take_none(base, method, path, hint):
    status, said = await ask(method, base + path, json={"value": "1.2"})
    assert status == 400
    assert said["hint"].endswith(hint)


async def test_an_empty_body_is_none(base):
    status, said = await ask("DELETE", f"{base}/expected", headers={"Content-Length": "0"})
    assert (status, said) == (200, {"changed": 0})


async def test_what_is_not_there_is_not_found_whatever_is_sent(base):
    assert (await ask("DELETE", f"{base}/nothing", json={}))[0] == 404
    assert (await ask("DELETE", f"{base}/status", json={}))[0] == 405
