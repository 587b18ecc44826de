"""Who wants to be let in: log-ins, cookies and forms that are nearly right, and a record of it all
that somebody changed.

Nobody gets in who should not, nothing that was typed stands in the log, and the record says of
itself what is wrong with it, and goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from edge.access.audit.check import check_record
from edge.access.audit.entry import Actor, Entry, Event, Subject
from edge.access.audit.folder import AuditFolder
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.access.throttle import Throttle
from edge.admin.local_keys import Opening, Waiting
from edge.admin.unlocking import _LIMITS, unlocking_routes
from edge.crypto.sealed import Algorithm
from edge.dicomweb.listener import Listener
from edge.dicomweb.root import create_root
from edge.errors import Needs, WrongKey
from tests.fuzz import trees
from tests.fuzz.door import CANARY, Answer, Door, Lines, Request, opened, parsed
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import Target

PASSWORD = f"a {CANARY} on a wall"
_addresses = itertools.count(2)


@dataclass(frozen=True)
class Try:
    """A request of somebody who wants in, or is."""

    method: str
    path: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    cookie: int
    """Whose: nobody's, the user's, or the user's with a byte that is another."""


@dataclass(frozen=True)
class Tries:
    some: tuple[Try, ...]


async def _log_in(door: Door, tries: Tries) -> None:
    cookie = await _cookie(door)
    for one in tries.some:
        sent = {1: cookie, 2: cookie[:-1] + b"!"}.get(one.cookie, b"")
        fields = (*one.fields, (b"Cookie", sent)) if sent else one.fields
        request = Request(one.method, one.path.encode(), fields, one.body, "")
        answer = await _asked(door, request)
        assert CANARY.encode() not in answer.head + answer.body
        if b"set-cookie" in answer.head.lower():
            assert answer.status == 200, answer.head
            # Nobody is let in but who knows the password, or was in before.
            assert one.cookie == 1 or PASSWORD.encode() in one.body or "logout" in one.path


async def _asked(door: Door, request: Request) -> Answer:
    """Each time from another place: who guesses waits, and would be answered nothing else."""
    number = next(_addresses) % 60_000
    source = f"127.1.{number // 240}.{number % 240 + 2}"
    heard = await door.exchange(request.to_bytes(""), source)
    answer = parsed(heard)
    assert answer is not None, heard[:200]
    assert answer.status < 500, (answer.status, answer.body[:300])
    door.look_at_log()
    return answer


_users: dict[int, bytes] = {}


async def _cookie(door: Door) -> bytes:
    """That of a user who is logged in; of each box there is one."""
    if door.port not in _users:
        users = door.box.appliance.cache.users
        handed = await users.add("jane", Role.PHYSICIAN, "Jane")
        await users.redeem(handed.code, PASSWORD)
        said = json.dumps({"name": "jane", "password": PASSWORD}).encode()
        request = Request("POST", b"/login", _JSON, said, "")
        answer = await _asked(door, request)
        assert answer.status == 200, answer.body
        _users.clear()
        _users[door.port] = answer.header("Set-Cookie").partition(";")[0].encode()
    return _users[door.port]


_JSON = ((b"Content-Type", b"application/json"),)
_PATHS = (
    "/login",
    "/login",
    "/login",
    "/login/redeem",
    "/login/password",
    "/login/sessions",
    "/login/sessions/x",
    "/login/sessions/%00",
    "/logout",
    "/login/totp/begin",
    "/login/totp",
    "/login/totp/remove",
    "/login/recovery-codes",
    "/login/passkeys",
    "/login/passkey/begin",
    "/login/passkey",
    "/login/provider",
    "/login/callback?code=x&state=y",
    "/api/v1/status",
)
_SAID: list[Any] = [
    {"name": "jane", "password": PASSWORD},
    {"name": "jane", "password": "wrong"},
    {"name": "JANE\u0130", "password": PASSWORD + "\u0301"},
    {"name": "nobody", "password": ""},
    {"code": "ABCD-EFGH-JKMN", "password": PASSWORD, "name": "x", "display_name": "y"},
    {"password": PASSWORD, "new_password": PASSWORD},
    {"password": PASSWORD, "new_password": "\ud7ff" * 1000},
    {"code": "000000"},
    {"password": PASSWORD},
    {},
    [],
    None,
]
_FIELDS = st.lists(
    st.sampled_from(
        (
            (b"Content-Type", b"application/json"),
            (b"Content-Type", b"text/plain"),
            (b"Content-Type", b"application/json; charset=\xff"),
            (b"Origin", b"http://evil.example"),
            (b"Origin", b"null"),
            (b"Sec-Fetch-Site", b"cross-site"),
            (b"Authorization", b"Basic amFuZTp4"),
            (b"Authorization", b"Basic " + b"A" * 5000),
            (b"Authorization", b"Bearer \xff\xfe"),
            (b"Authorization", b"Bearer"),
            (b"User-Agent", b"\xff\n" + b"x" * 3000),
            (b"X-Forwarded-For", b"10.0.0.1"),
        )
    ),
    max_size=3,
).map(tuple)
_COOKIES = st.one_of(
    *[st.just(())] * 4,
    st.builds(
        lambda text, some: ((b"Cookie", mutated(text, some)),),
        st.sampled_from(
            (b"edge=x", b"__Host-edge=" + b"A" * 43, b"a=b; edge_session=" + b"A" * 43, b"=;;=")
        ),
        changes(),
    ),
)
_TRY = st.builds(
    lambda method, path, json_type, more, cookies, tree, some, plain, cookie: Try(
        method,
        path,
        (*(_JSON if json_type else ()), *more, *cookies),
        trees.written(tree) if plain else mutated(trees.written(tree), some),
        cookie,
    ),
    st.sampled_from(("POST", "POST", "POST", "POST", "GET", "DELETE", "PUT")),
    st.sampled_from(_PATHS),
    st.sampled_from((True, True, True, True, True, True, False)),
    st.one_of(*[st.just(())] * 3, _FIELDS),
    _COOKIES,
    st.builds(
        lambda tree, key, value, keep: (
            {**tree, key: value} if isinstance(tree, dict) and not keep else tree
        ),
        st.sampled_from(_SAID),
        st.sampled_from(("name", "password", "code", "new_password", "display_name", "x")),
        st.one_of(
            st.sampled_from((*trees.TEXTS, *trees.NUMBERS, None, [], {})), st.text(max_size=5)
        ),
        st.sampled_from((True, True, False)),
    ),
    changes(),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((0, 0, 1, 1, 1, 2)),
)
_TRIES = st.lists(_TRY, min_size=1, max_size=2).map(lambda some: Tries(tuple(some)))


# A box that is locked


@dataclass(frozen=True)
class Form:
    """What is sent to its page."""

    method: str
    path: str
    kind: str
    body: bytes
    needs: str
    chunked: bool


@contextmanager
def _locked() -> Iterator[Callable[[Any], None]]:
    log, root = Lines(), logging.getLogger()
    tried: list[str] = []
    now = [0.0]
    waiting = [Waiting(Needs.PASSPHRASE, "it waits")]

    async def open_(by: Opening) -> None:
        tried.append(by.passphrase or "")
        raise WrongKey("the passphrase is wrong")

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> Listener:
            application = create_root({})
            throttle = Throttle(_LIMITS, clock=lambda: now[0])
            routes = unlocking_routes(
                lambda: waiting[0], open_, code="7K2M-Q0XE-ABCD", throttle=throttle
            )
            application.add_routes(routes)
            listener = Listener(application, "127.0.0.1:0")
            group = await stack.enter_async_context(asyncio.TaskGroup())
            ready = asyncio.Event()
            serving = group.create_task(listener.serve(ready=ready))
            stack.callback(serving.cancel)
            await ready.wait()
            return listener

        listener = runner.run(begin())

        async def send(form: Form) -> None:
            now[0] += 4000.0  # an hour later all guesses are forgiven
            waiting[0] = Waiting(Needs(form.needs), "it waits")
            fields = [(b"Content-Type", form.kind.encode("latin-1"))] if form.kind else []
            body = form.body
            if form.chunked:
                fields.append((b"Transfer-Encoding", b"chunked"))
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            request = Request(form.method, form.path.encode(), tuple(fields), body, "")
            door = Door(None, log, [], {}, listener.port)  # type: ignore[arg-type]
            answer = await door.ask(request, or_else=(503,))
            assert CANARY.encode() not in answer.head + answer.body
            assert b"<script" not in answer.body.lower()

        root.addHandler(log)
        try:
            yield lambda form: runner.run(send(form))
        finally:
            root.removeHandler(log)
            runner.run(stack.aclose())


_FORMS = st.builds(
    Form,
    st.sampled_from(("POST", "POST", "POST", "POST", "GET", "PUT")),
    st.sampled_from(("/unlock", "/unlock", "/unlock", "/unlock", "/", "/unlock.css", "/dicom-web")),
    st.sampled_from(
        (
            *["application/x-www-form-urlencoded"] * 5,
            "application/x-www-form-urlencoded; charset=utf-16",
            "application/x-www-form-urlencoded; charset=nobody",
            "application/x-www-form-urlencoded; charset=\xff",
            "multipart/form-data; boundary=B",
            "application/json",
            "",
        )
    ),
    st.one_of(
        st.builds(
            mutated,
            st.sampled_from(
                (
                    b"passphrase=" + CANARY.encode(),
                    b"code=7K2M-Q0XE-ABCD&passphrase=Zwetschge+Zwetschge&again=Zwetschge+Zwetschge",
                    b"passphrase=%ff%fe&passphrase=a",
                    b"passphrase=%00&code=%ED%A0%80&again=",
                    b"a=b&" * 2000,
                    b"%" * 100,
                    b"passphrase=" + b"x" * 9000,
                    b'--B\r\nContent-Disposition: form-data; name="passphrase"\r\n\r\nx\r\n--B--',
                )
            ),
            changes(),
        ),
        st.binary(max_size=40),
    ),
    st.sampled_from([one.value for one in Needs]),
    st.sampled_from((False, False, True)),
)


# The record


@dataclass(frozen=True)
class Record:
    """What was done to its files."""

    file: int
    deed: str
    some: tuple[Change, ...]


@contextmanager
def _records() -> Iterator[Callable[[Any], None]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        right = folder / "right"
        written = _folder(right)
        for number in range(1, 13):
            written.append([_entry(number)])
        whole = check_record(written, written.head())
        assert not whole.findings
        assert whole.entries == 12

        def check(record: Record) -> None:
            wrong = folder / "wrong"
            shutil.rmtree(wrong, ignore_errors=True)
            shutil.copytree(right, wrong)
            changed = _spoil(wrong, record)
            spoilt = _folder(wrong)
            for segment in spoilt.segments():
                for link in spoilt.read(segment):
                    Entry.from_bytes(link.content, link.number)
            report = check_record(spoilt, written.head())
            if changed:
                assert report.findings
            list(search(spoilt, Asked(user="jane"), 5))
            before = spoilt.head().number
            after, _ = _folder(wrong).append([_entry(99)], written.head())
            assert after.number > max(before, 12)
            again = check_record(_folder(wrong), after)
            assert bool(again.findings) == bool(report.findings) or not changed

        yield check


def _folder(path: Path) -> AuditFolder:
    return AuditFolder(
        path, bytes(range(32)), Algorithm.AES_256_GCM, segment_bytes=700, clock=lambda: 1e9
    )


def _entry(number: int) -> bytes:
    about = Subject(study_uid="1.2.3", patient_id="P1", patient_name="Zwetschge")
    actor = Actor(name="jane")
    return Entry(
        number=number, at=1e9 + number, event=next(iter(Event)), actor=actor, about=about
    ).to_bytes()


def _spoil(folder: Path, record: Record) -> bool:
    """Do it; whether anything is another than before."""
    segments = sorted(folder.glob("*.audit"))
    path = segments[record.file % len(segments)]
    data = path.read_bytes()
    match record.deed:
        case "change":
            path.write_bytes(mutated(data, record.some))
            return path.read_bytes() != data
        case "remove":
            path.unlink()
        case "swap":
            other = segments[(record.file + 1) % len(segments)]
            path.write_bytes(other.read_bytes())
            other.write_bytes(data)
        case "copy":
            (folder / f"{len(segments) + record.file % 3:010}.audit").write_bytes(data)
            return record.file % 3 != 0 or path != segments[-1]
        case _:
            (folder / "stranger.audit").write_bytes(data)
            return False
    return True


_RECORDS = st.builds(
    Record,
    st.integers(0, 20),
    st.sampled_from(("change", "change", "change", "change", "remove", "swap", "copy", "stranger")),
    changes().map(tuple),
)

PEOPLE = (
    Target("login", _TRIES, partial(opened, _log_in), Tries, seconds=20.0, megabytes=300.0),
    Target("unlock", _FORMS, _locked, Form, seconds=10.0),
    Target("audit", _RECORDS, _records, Record, seconds=10.0),
)
