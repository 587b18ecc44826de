"""The page of a locked box, asked as a browser and as an attacker would."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.throttle import Throttle
from edge.admin.local_keys import Waiting
from edge.admin.unlocking import _LIMITS, unlocking_routes
from edge.dicomweb.root import create_root
from edge.errors import Needs, SecretError, TooManyAttempts, WrongKey

RIGHT, CODE = "seven herons over a wet field", "7K2M-Q0XE-ABCD-WXYZ"


class Box:
    def __init__(self):
        self.waiting = Waiting(Needs.PASSPHRASE, "it waits for its passphrase")
        self.tried, self.came_from, self.wrong_codes = [], [], []
        self.code = CODE
        self.at_once = self.most_at_once = 0

    async def open(self, by):
        self.tried.append(by.passphrase)
        self.came_from.append(by.address)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if by.passphrase == "weak":
            raise SecretError("too few", hint="choose another")
        if by.passphrase != RIGHT:
            raise WrongKey("the passphrase is wrong")


@pytest.fixture
def box():
    return Box()


@pytest.fixture
async def client(box):
    application = create_root({})
    throttle = Throttle(_LIMITS, clock=lambda: 1000.0)
    routes = unlocking_routes(
        lambda: box.waiting,
        box.open,
        code=box.code,
        throttle=throttle,
        wrong=box.wrong_codes.append,
    )
    application.add_routes(routes)
    async with TestClient(TestServer(application)) as client:
        yield client


async def test_the_page_asks_for_the_passphrase_with_no_script_and_a_strict_policy(client):
    answer = await client.get("/")
    page = await answer.text()
    assert answer.status == 200
    assert 'type="password" name="passphrase"' in page
    assert not re.search(r"<script|javascript:|\son\w+=|<style|\sstyle=", page)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    style = await client.get("/unlock.css")
    assert style.content_type == "text/css"
    assert "herons" not in page


async def test_the_right_passphrase_opens_and_a_wrong_one_says_so(client, box):
    wrong = await client.post("/unlock", data={"passphrase": RIGHT + "!"})
    assert wrong.status == 403
    assert "The passphrase is wrong." in await wrong.text()
    right = await client.post("/unlock", data={"passphrase": RIGHT})
    assert right.status == 200
    assert "being opened" in await right.text()
    assert box.tried == [RIGHT + "!", RIGHT]


async def test_whoever_keeps_the_audit_hears_from_where_tries_came(client, box):
    await client.post("/unlock", data={"passphrase": RIGHT})
    box.waiting = Waiting(Needs.NEW_PASSPHRASE, "nobody has chosen its passphrase yet")
    said = {"passphrase": RIGHT, "again": RIGHT}
    assert (await client.post("/unlock", data=said | {"code": "wrong"})).status == 403
    assert (box.came_from, box.wrong_codes) == (["127.0.0.1"], ["127.0.0.1"])


async def test_who_guesses_waits_longer_and_longer_and_is_not_even_heard(client, box, caplog):
    for n in range(4):
        assert (await client.post("/unlock", data={"passphrase": f"guess {n}"})).status == 403
    for _ in range(3):
        answer = await client.post("/unlock", data={"passphrase": RIGHT})
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
    assert len(box.tried) == 4
    assert "a wrong try to open the box, from 127.0.0.1" in caplog.text
    assert "guess" not in caplog.text.replace("guessing", "")


async def test_one_guess_is_tried_at_a_time_and_few_wait_for_their_turn(client, box):
    answers = await asyncio.gather(
        *(client.post("/unlock", data={"passphrase": RIGHT}) for _ in range(20))
    )
    assert box.most_at_once == 1
    assert {answer.status for answer in answers} == {200, 429}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
async def test_no_other_site_can_send_a_guess_through_its_readers_browser(client, box, headers):
    answer = await client.post("/unlock", data={"passphrase": RIGHT}, headers=headers)
    assert answer.status == 403
    assert box.tried == []


async def test_the_page_itself_may(client, box):
    origin = f"http://{client.host}:{client.port}"
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    answer = await client.post("/unlock", data={"passphrase": RIGHT}, headers=headers)
    assert answer.status == 200


async def test_what_is_no_form_or_too_long_or_empty_is_refused(client, box):
    assert (await client.post("/unlock", json={"passphrase": RIGHT})).status == 415
    assert (await client.post("/unlock", data={"passphrase": "x" * 9000})).status == 413
    assert (await client.post("/unlock", data={"passphrase": ""})).status == 400
    assert (await client.post("/unlock", data={})).status in (400, 415)
    assert box.tried == []


async def test_who_sends_a_form_that_does_not_come_keeps_nobody_from_trying(
    client, box, monkeypatch
):
    monkeypatch.setattr("edge.admin.unlocking.STRANGERS_SECONDS", 1.0)
    head = f"POST /unlock HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nContent-Length: 100\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    strangers = [await asyncio.open_connection(client.host, client.port) for _ in range(20)]
    for _, writer in strangers:
        writer.write(head.encode() + b"passphrase=")
        await writer.drain()
    answer = await client.post("/unlock", data={"passphrase": RIGHT})
    assert answer.status == 200
    for reader, writer in strangers:
        async with asyncio.timeout(15):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
    assert box.tried == [RIGHT]


async def test_a_form_that_is_none_is_no_defect(client, box):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in (b"\xff\xfe", b"passphrase=%ff", b"a=&" * 200):
        answer = await client.post("/unlock", data=text, headers=headers)
        assert answer.status == 400
    assert box.tried == []


async def test_a_stranger_can_not_choose_the_passphrase_of_a_new_box(client, box):
    box.waiting = Waiting(Needs.NEW_PASSPHRASE, "nobody has chosen")
    assert CODE not in await (await client.get("/")).text()
    for code in ("", "7K2M-Q0XE-ABCD-WXYA", "\u212a"):
        form = {"passphrase": RIGHT, "again": RIGHT, "code": code}
        assert (await client.post("/unlock", data=form)).status == 403
    assert box.tried == []


async def test_who_has_the_code_of_the_console_chooses_it_typed_twice(client, box):
    box.waiting = Waiting(Needs.NEW_PASSPHRASE, "nobody has chosen")
    form = {"passphrase": RIGHT, "again": RIGHT + "!", "code": CODE.lower().replace("-", " ")}
    answer = await client.post("/unlock", data=form)
    assert (answer.status, "not the same" in await answer.text()) == (400, True)
    weak = await client.post("/unlock", data=form | {"passphrase": "weak", "again": "weak"})
    assert (weak.status, "too few. choose another" in await weak.text()) == (400, True)
    assert (await client.post("/unlock", data=form | {"again": RIGHT})).status == 200
    assert box.tried == ["weak", RIGHT]


async def test_where_nobody_saw_a_code_the_passphrase_is_chosen_on_the_machine():
    box = Box()
    box.waiting = Waiting(Needs.NEW_PASSPHRASE, "nobody has chosen")
    application = create_root({})
    application.add_routes(unlocking_routes(lambda: box.waiting, box.open, code=""))
    async with TestClient(TestServer(application)) as client:
        page = await (await client.get("/")).text()
        assert "edge key unlock" in page
        assert "<form" not in page
        form = {"passphrase": RIGHT, "again": RIGHT, "code": ""}
        assert (await client.post("/unlock", data=form)).status == 409
    assert box.tried == []


async def test_all_together_wait_too_but_never_for_long(box):
    now = 1000.0
    throttle = Throttle(_LIMITS, clock=lambda: now)
    for n in range(21):
        throttle.log_in("box", f"192.0.2.{n}", ())
    with pytest.raises(TooManyAttempts) as refused:
        throttle.log_in("box", "192.0.2.200", ())
    assert refused.value.retry_after <= 10
    for n in range(21, 60):
        now += 10
        throttle.log_in("box", f"192.0.2.{n}", ())


@pytest.mark.parametrize("needs", [Needs.SERVER, Needs.RECOVERY_KEY, Needs.ADMIN])
async def test_what_no_page_can_do_is_not_offered_there(client, box, needs):
    box.waiting = Waiting(needs, "why")
    page = await (await client.get("/")).text()
    assert "<form" not in page
    assert "It " in page
    assert (await client.post("/unlock", data={"passphrase": RIGHT})).status == 409
    assert box.tried == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/dicom-web/studies", "/api/v1/status", "/wado", "/metrics"])
async def test_everything_else_is_refused_for_now(client, method, path):
    answer = await client.request(method, path)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "30"
    assert (await answer.json())["detail"] == "the box is locked: it waits for its passphrase"
