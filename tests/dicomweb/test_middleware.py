"""Identity, errors and logs: the seam between the edge's errors and HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import zlib

import aiohttp
import pytest
import yarl

from edge.dicom.instance import InstanceRef
from edge.errors import (
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    ConfigError,
    EdgeError,
    InstanceNotFound,
    KeyUnavailable,
    NotDicom,
    PixelBudgetExceeded,
    PixelWorkersBusy,
    QueryError,
    SealBroken,
    StorageFull,
)
from edge.pixels.turns import ASKER
from tests.dicomweb.conftest import AUTHORISED, until
from tests.dicomweb.test_store import CONTENT_TYPE, message


@pytest.fixture
def instance(service, packaged):
    return service.retrieval.add(packaged("CT_small.dcm"))[0]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueryError("x"), 400),
        (NotDicom("x"), 400),
        (InstanceNotFound("x"), 404),
        (StorageFull("x"), 507),
        (PixelBudgetExceeded("x"), 406),
        (PixelWorkersBusy("x"), 503),
        (KeyUnavailable("x"), 503),
        (SealBroken("x"), 500),
        (ConfigError("x"), 500),
        (CloudUnreachable("x"), 503),
        (CloudUnauthorised("x"), 502),
        (CloudRefused("x", status=410), 502),
        (EdgeError("x"), 500),
    ],
)
async def test_each_error_has_its_status(service, instance, url, error, status):
    service.retrieval.failing[instance.entry.ref.sop_uid] = error
    async with service.http.get(url(instance)) as answer:
        assert answer.status == status


async def test_a_problem_document_says_what_happened_and_what_to_do(service, instance, url):
    service.retrieval.failing[instance.entry.ref.sop_uid] = CloudUnreachable(
        "the archive does not answer", hint="look at the line", retry_after=7
    )
    async with service.http.get(url(instance), headers={"X-Request-ID": "abc-1"}) as answer:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "7"
        assert await answer.json(content_type=None) == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "the archive does not answer",
            "hint": "look at the line",
            "request_id": "abc-1",
        }


@pytest.mark.parametrize("name", ["a b", "1.2.840.113619.2.55.3"])
async def test_a_request_id_that_could_forge_a_log_line_or_name_a_study_is_replaced(service, name):
    forged = {"X-Request-ID": name}
    async with service.http.get(f"{service.base}/studies", headers=forged) as answer:
        assert name not in answer.headers["X-Request-ID"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic read", "read"])
async def test_who_is_unknown_is_asked_for_a_token(service, header):
    async with service.http.get(
        f"{service.base}/studies", headers={"Authorization": header}
    ) as answer:
        assert answer.status == 401
        assert (await answer.json(content_type=None))["hint"]


@pytest.mark.parametrize(
    ("headers", "schemes"),
    [
        ({}, ["Bearer", "Basic"]),
        ({"Sec-Fetch-Dest": "document"}, ["Bearer", "Basic"]),
        ({"Sec-Fetch-Dest": "empty"}, ["Bearer"]),
        ({"Sec-Fetch-Dest": "image"}, ["Bearer"]),
        ({"Origin": "https://evil.example.org"}, ["Bearer"]),
    ],
)
async def test_basic_is_offered_but_no_page_makes_a_browser_ask(service, headers, schemes):
    headers = {**headers, "Authorization": ""}
    async with service.http.get(f"{service.base}/studies", headers=headers) as answer:
        assert answer.status == 401
        challenges = answer.headers.getall("WWW-Authenticate")
    assert [challenge.split(" ")[0] for challenge in challenges] == schemes
    assert all('realm="edge"' in challenge for challenge in challenges)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/nothing", 404),
        ("DELETE", "/nothing", 404),
        ("PUT", "/studies", 405),
        ("POST", "/studies/1.2/series", 405),
        ("DELETE", "/studies", 405),
        ("DELETE", "/studies/1.2", 403),
    ],
)
async def test_what_there_is_not_is_no_matter_of_rights(service, method, path, status):
    headers = {"Authorization": "Bearer read"}
    async with service.http.request(method, service.base + path, headers=headers) as answer:
        assert answer.status == status
    async with service.http.request(
        method, service.base + path, headers={"Authorization": ""}
    ) as answer:
        assert answer.status == 401


async def test_a_slash_too_many_is_pointed_at(service):
    async with service.http.get(f"{service.base}/studies/") as answer:
        assert answer.status == 404
        assert "slash" in (await answer.json(content_type=None))["hint"]


async def test_what_changed_something_is_in_the_log_and_what_was_read_is_not(
    service, packaged, caplog
):
    caplog.set_level(logging.INFO, "edge")
    body = message(packaged("CT_small.dcm").read_bytes(), b"no image")
    headers = {"Content-Type": CONTENT_TYPE, "X-Request-ID": "store-1"}
    async with service.http.post(f"{service.base}/studies", data=body, headers=headers) as answer:
        assert answer.status == 202
    assert "[store-1] POST /dicom-web/studies: 202" in caplog.text
    assert "1 stored, 1 not" in caplog.text
    caplog.clear()
    async with service.http.get(f"{service.base}/studies", headers=AUTHORISED) as answer:
        assert answer.status == 200
    assert not caplog.records


async def test_who_may_only_read_may_not_store(service):
    reader = {"Authorization": "Bearer read"}
    async with service.http.get(f"{service.base}/studies", headers=reader) as answer:
        assert answer.status == 200
    async with service.http.post(f"{service.base}/studies", headers=reader) as answer:
        assert answer.status == 403
        assert "WWW-Authenticate" not in answer.headers


async def test_a_defect_is_answered_and_logged_without_its_text(service, instance, url, caplog):
    service.retrieval.failing[instance.entry.ref.sop_uid] = RuntimeError("DOE^JANE")
    with caplog.at_level(logging.INFO):
        async with service.http.get(url(instance)) as answer:
            assert answer.status == 500
            body = await answer.text()
    assert "DOE" not in body
    assert "DOE" not in caplog.text
    assert "RuntimeError at doubles.py" in caplog.text
    assert answer.headers["X-Request-ID"] in caplog.text


async def test_logs_hold_no_query_and_no_path_of_the_client(service, caplog):
    with caplog.at_level(logging.DEBUG, "edge"):
        for path in ("/studies?PatientName=DOE", "/studies?PatientNam=DOE", "/nothing/DOE"):
            async with service.http.get(service.base + path):
                pass
    assert len(caplog.records) == 3
    assert "DOE" not in caplog.text


@pytest.mark.parametrize("error", [CloudUnreachable("gone"), InstanceNotFound("gone")])
async def test_an_answer_that_fails_in_the_middle_is_torn_off(
    service, url, packaged, caplog, error
):
    first, second = service.retrieval.add(packaged("CT_small.dcm"), _sibling(packaged))
    service.retrieval.failing[second.entry.ref.sop_uid] = error
    caplog.set_level(logging.INFO, "edge")
    # Known to be of a certain size, so announced; and unknown, so in chunks.
    for nearline in (set(), {second.entry.ref.sop_uid}):
        service.retrieval.nearline = nearline
        async with service.http.get(url(first, level="study")) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert all("broken off" in record.getMessage() for record in caplog.records)


def _sibling(packaged):
    """Another instance of the same series."""
    data = packaged("CT_small.dcm").read_bytes()
    uid = b"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
    assert data.count(uid) == 2
    return data.replace(uid, uid[:-1] + b"9")


async def test_a_host_header_that_is_none_is_refused(service):
    headers = {**AUTHORISED, "Host": 'x" onload="'}
    async with service.http.get(f"{service.base}/studies", headers=headers) as answer:
        assert answer.status == 400


class Endless:
    """Metadata that never ends, or that never begins."""

    def __init__(self, begins):
        self.begins, self.asked = begins, 0

    async def metadata(self, *_):
        self.asked += 1
        while not self.begins:
            await asyncio.sleep(0.05)
            raise ConnectionResetError
        while True:
            yield InstanceRef("1.2", "1.2.3", "1.2.3.4"), zlib.compress(os.urandom(100_000))


@pytest.mark.parametrize("begins", [True, False])
async def test_a_client_that_hangs_up_is_one_quiet_line(
    service, instance, caplog, monkeypatch, begins
):
    endless = Endless(begins)
    monkeypatch.setattr(service.retrieval, "metadata", endless.metadata)
    caplog.set_level(logging.DEBUG, "edge")
    url = yarl.URL(service.base)
    _, writer = await asyncio.open_connection(url.host, url.port)
    study = instance.entry.ref.study_uid.encode()
    writer.write(
        b"GET /dicom-web/studies/" + study + b"/metadata HTTP/1.1\r\nHost: box\r\n"
        b"Authorization: Bearer store\r\n\r\n"
    )
    await until(lambda: endless.asked)
    writer.transport.abort()
    await until(lambda: caplog.records)
    await asyncio.sleep(0.2)
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert "499" in caplog.text
    assert "hung up" in caplog.text


async def test_a_line_of_the_log_has_a_reason_and_no_uid(service, instance, url, caplog):
    caplog.set_level(logging.INFO, "edge")
    uid = instance.entry.ref.sop_uid
    service.retrieval.failing[uid] = InstanceNotFound(
        f"instance {uid} is not here, nor at 10.1.2.3"
    )
    for asked in (url(instance), f"{service.base}/nothing"):
        async with service.http.get(asked) as answer:
            assert answer.status == 404
    found, nothing = (record.getMessage() for record in caplog.records)
    assert found.endswith("instance UID is not here, nor at 10.1.2.3")
    assert "of no such resource: 404" in nothing
    assert nothing.endswith("Not Found")


async def test_a_uid_that_is_a_uuid_is_not_in_the_log_either(service, instance, url, caplog):
    caplog.set_level(logging.INFO, "edge")
    uid = "2.25.329800735698586629295641978511506172918"
    service.retrieval.failing[instance.entry.ref.sop_uid] = InstanceNotFound(f"no instance {uid}")
    async with service.http.get(url(instance)) as answer:
        assert answer.status == 404
    assert caplog.records[-1].getMessage().endswith("no instance UID")
    assert uid not in caplog.text


async def test_a_body_that_cannot_be_read_to_its_end_closes_the_connection(service):
    headers = {
        **AUTHORISED,
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=B',
        "Content-Encoding": "gzip",
    }
    async with service.http.post(
        f"{service.base}/studies", data=b"--B\r\n", headers=headers
    ) as answer:
        assert answer.status == 400
        assert answer.headers["Connection"] == "close"


async def test_pictures_are_made_for_who_asks_also_on_one_connection(
    service, instance, url, monkeypatch
):
    askers, make = [], service.rendering.frame

    async def frame(*wanted):
        askers.append(ASKER.get())
        return await make(*wanted)

    monkeypatch.setattr(service.rendering, "frame", frame)
    for token in ("store", "read", "store"):
        headers = {"Authorization": f"Bearer {token}"}
        async with service.http.get(url(instance, "thumbnail"), headers=headers) as answer:
            assert answer.status == 200
    assert askers[0] == askers[2] != askers[1]
    assert all(askers)
