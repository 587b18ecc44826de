"""What the admin API does not read it does not let pass for understood."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession

from edge.admin.asking import only
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


def patterns(node):
    """Every pattern of a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            yield from patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from patterns(value)


async def test_no_pattern_lets_a_line_end_stand_behind_it(base):
    _, document = await ask("GET", f"{base}/openapi.json")
    found = list(patterns(document))
    assert len(found) >= 5
    for pattern in found:
        assert pattern == only(pattern.removeprefix("^").removesuffix(r"$(?!\n)"))
        for text in ("", "1.2", "A", "2026-03-10"):
            assert not re.search(pattern, f"{text}\n"), (pattern, text)


@pytest.mark.parametrize("text", ["1.2\n", "A\x1b[2J", "B\\C", "\x9b31m", " ", ""])
async def test_what_is_no_text_of_dicom_is_neither_announced_nor_pinned(base, text):
    for path, body in (
        ("expected", [{"patient_id": text}]),
        ("pins", {"kind": "patient", "value": text}),
        ("pins", {"kind": "study", "value": text}),
    ):
        assert (await ask("POST", f"{base}/{path}", json=body))[0] == 400
    if text.strip(" "):
        issuer = {"kind": "patient", "value": "P1", "issuer": text}
        assert (await ask("POST", f"{base}/pins", json=issuer))[0] == 400
    assert (await ask("GET", f"{base}/pins"))[1] == []


async def test_a_line_end_behind_a_parameter_is_refused(base):
    for path in ("expected?date=2026-03-10%0A", "expected?patient_id=P1%0A", "pins?value=1.2%0A"):
        assert (await ask("DELETE", f"{base}/{path}"))[0] == 400
    assert (await ask("GET", f"{base}/studies/1.2%0A/edits"))[0] == 400


async def test_ten_thousand_announcements_of_one_patient_are_those_that_one_can_have(base):
    many = [{"patient_id": "P1", "issuer": f"I{number}"} for number in range(10_000)]
    assert await ask("POST", f"{base}/expected", json=many) == (200, {"changed": 50})
    assert (await ask("GET", f"{base}/expected"))[1]["total"] == 50
