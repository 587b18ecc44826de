"""The service as a client meets it: routes, methods, and what stands on every answer."""

from __future__ import annotations

import pytest

UIDS = {"study": "1.2", "series": "1.2.3", "instance": "1.2.3.4"}
STUDY = "/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
SEARCHED = [
    "/studies",
    "/series",
    "/instances",
    f"{STUDY}/series",
    f"{STUDY}/instances",
    f"{SERIES}/instances",
]
RETRIEVED = [
    STUDY,
    SERIES,
    INSTANCE,
    f"{STUDY}/metadata",
    f"{SERIES}/metadata",
    f"{INSTANCE}/metadata",
    f"{INSTANCE}/frames/1",
    f"{INSTANCE}/bulkdata/7FE00010",
]


@pytest.mark.parametrize("path", SEARCHED)
async def test_what_can_be_searched_answers(service, path):
    async with service.http.get(service.base + path.format(**UIDS)) as answer:
        assert answer.status == 200
        assert await answer.json(content_type=None) == []


@pytest.mark.parametrize("path", RETRIEVED)
async def test_what_is_not_there_is_not_found(service, path):
    async with service.http.get(service.base + path.format(**UIDS)) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["title"] == "Not Found"


@pytest.mark.parametrize("path", [*SEARCHED, *RETRIEVED, "/nothing", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
async def test_nothing_answers_without_a_token(service, path, method):
    url = service.base + path.format(**UIDS)
    async with service.http.request(method, url, headers={"Authorization": ""}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="edge"'


@pytest.mark.parametrize("path", ["/nothing", "/studies/1.2/nothing", "/studies/1.2/series/", "//"])
async def test_paths_of_no_resource_are_not_found(service, path):
    async with service.http.get(service.base + path) as answer:
        assert answer.status == 404
        document = await answer.json(content_type=None)
        assert document["hint"].startswith("those of DICOMweb are below /dicom-web")


async def test_methods_that_a_resource_does_not_know_are_named(service):
    async with service.http.put(f"{service.base}/studies/1.2") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", [*SEARCHED, *RETRIEVED, "/", ""])
async def test_options_says_what_can_be_done(service, path):
    async with service.http.options(service.base + path.format(**UIDS)) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/vnd.sun.wadl+xml"
        allowed = {"GET", "HEAD", "OPTIONS"}
        allowed |= {"POST"} if path in ("/studies", STUDY) else set()
        allowed |= {"DELETE"} if path in (STUDY, SERIES, INSTANCE) else set()
        assert answer.headers["Allow"] == ", ".join(sorted(allowed))


@pytest.mark.parametrize("path", ["/studies", "/studies/1.2", "/nothing"])
async def test_every_answer_is_private_and_not_to_be_guessed_at(service, path):
    async with service.http.get(service.base + path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("uid", ["..", "%2e%2e%2f", "1.2.a", "1" * 65, "1..2", "1.2%00", "é"])
async def test_what_is_no_uid_is_refused(service, uid):
    async with service.http.get(f"{service.base}/studies/{uid}/metadata") as answer:
        assert answer.status in (400, 404)
    assert service.retrieval.opened == []
