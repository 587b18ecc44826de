"""An archive that lies: whatever it answers over a connection is a result or an error of ours.

Every question that the edge asks an archive is asked, one at a time, and answered with what is
nearly right: heads, lengths, codings, bodies.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from edge import others
from edge.cloud.archive import Outgoing
from edge.cloud.changefeed import AzureFeed, EdgeFeed
from edge.cloud.listing import describe_study, list_instances
from edge.cloud.orthanc import OrthancArchive, OrthancFeed
from edge.cloud.token_endpoint import TokenEndpoint
from edge.cloud.transport import Timeouts, new_client
from edge.errors import CloudError, EdgeError, InstanceNotFound
from tests.fuzz import files, metadata, trees
from tests.fuzz.metadata import REFS
from tests.fuzz.mutation import changes, mutated
from tests.fuzz.targets import Target

_LONGEST = 60.0
_PATIENCE = Timeouts(connect=2.0, read=0.4, write=1.0, store=0.5, answer=1.5)


@dataclass(frozen=True)
class Said:
    """What is asked, and what every request is answered with meanwhile."""

    asked: str
    answer: bytes
    closes: bool


async def _store(archive: OrthancArchive) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield files.encapsulated()

    outgoing = [Outgoing(ref, len(files.encapsulated()), stream) for ref in REFS]
    results = await archive.store_instances(outgoing)
    assert [one.ref for one in results] == REFS


async def _search(archive: OrthancArchive) -> None:
    for row in await archive.search_studies({"PatientID": "x"}, limit=5):
        metadata.shown(row)


async def _describe(archive: OrthancArchive) -> None:
    found = await describe_study(archive, "1.2.3")
    if found is not None:
        for one in found.series:
            assert all(instance.sop_uid for instance in one.instances)


async def _list(archive: OrthancArchive) -> None:
    await list_instances(archive, REFS)


async def _metadata(archive: OrthancArchive) -> None:
    for row in await archive.retrieve_metadata("1.2.3"):
        metadata.shown(row)


async def _retrieve(archive: OrthancArchive) -> None:
    async with aclosing(archive.retrieve_instance(REFS[0])) as pieces:
        async for piece in pieces:
            assert isinstance(piece, bytes)


async def _retrieve_all(archive: OrthancArchive) -> None:
    async with aclosing(archive.retrieve_study("1.2.3")) as streams:
        async for stream in streams:
            async for _ in stream:
                break


async def _delete(archive: OrthancArchive) -> None:
    await archive.delete_instance(REFS[0])


async def _feed(feed: Any, *positions: str) -> None:
    latest = await feed.latest()
    for position in (latest, *positions):
        page = await feed.after(position)
        if page is not None:
            assert isinstance(page.position, str)
            json.dumps(page.position)
            await feed.after(page.position)


async def _edge_feed(archive: OrthancArchive) -> None:
    await _feed(EdgeFeed(archive), "0", "5 1.2.3")


async def _azure_feed(archive: OrthancArchive) -> None:
    await _feed(AzureFeed(archive), '{"start":"2026-01-01T00:00:00Z"}')


async def _orthanc_feed(archive: OrthancArchive) -> None:
    await _feed(OrthancFeed(archive), "0", "7")


async def _token(archive: OrthancArchive) -> None:
    endpoint = TokenEndpoint(
        "cloud", lambda encrypted: new_client(None, None, _PATIENCE, encrypted=encrypted), seconds=2
    )
    token = await endpoint.ask(archive.base, {"grant_type": "client_credentials"})
    assert token.seconds >= 0


QUESTIONS: dict[str, Callable[[OrthancArchive], Awaitable[None]]] = {
    "store": _store,
    "search": _search,
    "describe": _describe,
    "list": _list,
    "metadata": _metadata,
    "retrieve": _retrieve,
    "retrieve all": _retrieve_all,
    "delete": _delete,
    "edge feed": _edge_feed,
    "azure feed": _azure_feed,
    "orthanc feed": _orthanc_feed,
    "token": _token,
}


@contextmanager
def _lying() -> Iterator[Callable[[Any], None]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        said: list[Said] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while (await reader.readuntil(b"\r\n\r\n")) and said:
                    writer.write(said[-1].answer)
                    await writer.drain()
                    if said[-1].closes:
                        return
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            finally:
                writer.close()

        async def begin() -> OrthancArchive:
            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            port = server.sockets[0].getsockname()[1]
            settings = others.Archive("cloud", f"http://127.0.0.1:{port}/dicom-web", kind="orthanc")
            return await stack.enter_async_context(OrthancArchive(settings, timeouts=_PATIENCE))

        archive = runner.run(begin())

        async def ask(one: Said) -> None:
            said[:] = [one]
            try:
                async with asyncio.timeout(_LONGEST):
                    await QUESTIONS[one.asked](archive)
            except (CloudError, InstanceNotFound) as error:
                _printable(str(error))
            except EdgeError as error:
                raise AssertionError(f"{type(error).__name__} is none of an archive") from error
            await archive.close()

        try:
            yield lambda one: runner.run(ask(one))
        finally:
            runner.run(stack.aclose())


def _printable(text: str) -> None:
    """It goes into the log, and onto the page."""
    assert text.isprintable(), text


# Answers

_STATUS = st.sampled_from(
    (200,) * 12 + (202, 204, 206, 301, 400, 401, 403, 404, 409, 413, 429, 500, 503, 100, 999)
)
_TYPES = st.sampled_from(
    (
        *["application/dicom+json"] * 4,
        "application/json",
        "text/html",
        "",
        "application/dicom",
        'multipart/related; type="application/dicom"; boundary=B',
        'multipart/related; type="application/dicom+xml"; boundary=B',
        "multipart/related; boundary=",
        "\xff",
    )
)
_FIELDS = st.lists(
    st.sampled_from(
        (
            b"Date: Sun, 29 Nov 2026 10:00:00 GMT",
            b"Date: x",
            b"Date: Mon, 01 Jan 0001 00:00:00 +2359",
            b"Date: Fri, 31 Dec 9999 23:59:59 -2359",
            b"Date: Sun, 29 Nov 2026 10:00:00 +9999999999",
            b"Retry-After: 1e999",
            b"Retry-After: -5",
            b"Retry-After: 99999999999999999999",
            b"Retry-After: Sun, 29 Nov 99999 10:00:00 GMT",
            b"Location: //",
            b"Location: http://[",
            b'WWW-Authenticate: Basic realm="\xff"',
            b"Content-Encoding: gzip",
            b"Content-Encoding: deflate, br",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Set-Cookie: a=b; expires=x; domain=;",
            b'Warning: 299 x "\x01"',
            b"X: " + b"y" * 3000,
        )
    ),
    max_size=3,
)
_ENTRY = {
    "Sequence": 5,
    "StudyInstanceUid": "1.2.3",
    "SeriesInstanceUid": "1.2.3.4",
    "SopInstanceUid": "1.2.3.4.0",
    "Action": "create",
    "Timestamp": "2026-11-29T10:00:00.1234567Z",
    "State": "current",
}
_LOG = {
    "Changes": [
        {"Seq": 7, "ChangeType": "NewInstance", "ID": "a-b", "Date": "20261129T100000"},
        {"Seq": 8, "ChangeType": "DeletedStudy", "ID": "c"},
    ],
    "Done": True,
    "Last": 8,
}
_RIGHT: list[Any] = [
    *metadata.ANSWERED,
    [metadata.ANSWERED[1]] * 2,
    _ENTRY,
    [_ENTRY, {**_ENTRY, "Sequence": 6, "Action": "delete"}],
    _LOG,
    [{"ID": "a-b", "MainDicomTags": {"SOPInstanceUID": "1.2.3.4.0"}, "ParentSeries": "s"}],
    [{"ID": "a-b", "Path": "/instances/a-b", "Type": "Instance"}],
    {"access_token": "abc", "token_type": "Bearer", "expires_in": "3600"},
    {"error": "invalid_client", "error_description": "AADSTS7000215: x"},
    "20261129T100000",
]
_ODD: tuple[Any, ...] = (
    *trees.NUMBERS,
    *trees.TEXTS,
    None,
    True,
    [],
    {},
    10**30,
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-11-29T10:00:00",
)


def _changed(tree: Any, some: list[tuple[int, Any]]) -> Any:
    """With other values anywhere."""
    tree = json.loads(json.dumps(tree))
    for number, value in some:
        found = [path for path, _ in trees.places(tree)]
        if not found:
            return value
        *way, last = found[number % len(found)]
        above = tree
        for step in way:
            above = above[step]
        above[last] = value
    return tree


_TREES = st.builds(
    _changed,
    st.sampled_from(_RIGHT),
    st.lists(st.tuples(st.integers(0, 80), st.sampled_from(_ODD)), max_size=2),
).map(trees.written)
_PARTS = st.lists(st.deferred(files.made), max_size=2).map(
    lambda several: (
        b"".join(b"\r\n--B\r\nContent-Type: application/dicom\r\n\r\n" + one for one in several)
        + b"\r\n--B--\r\n"
    )
)
_CONTENTS = st.one_of(
    _TREES,
    _TREES,
    trees.documents(),
    _PARTS,
    st.sampled_from(metadata._DOCUMENTS),
    st.builds(mutated, _TREES, changes()),
    st.sampled_from((b"", b"<html>log in</html>", b"20261129T100000", gzip.compress(b"[]"))),
)


def _answer(
    status: int, kind: str, fields: list[bytes], body: bytes, lie: int, some: list, plain: bool
) -> bytes:
    if b"Content-Encoding: gzip" in fields and len(body) % 2:
        body = gzip.compress(body, 1)
    if b"Transfer-Encoding: chunked" in fields:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        length = []
    else:
        length = [b"Content-Length: %d" % max(0, len(body) + lie)]
    lines = [b"HTTP/1.1 %d OK" % status, *length, *fields]
    if kind:
        lines.append(b"Content-Type: " + kind.encode("latin-1"))
    whole = b"\r\n".join(lines) + b"\r\n\r\n" + body
    return whole if plain else mutated(whole, some)


_SAID = st.builds(
    Said,
    st.sampled_from(sorted(QUESTIONS)),
    st.builds(
        _answer,
        _STATUS,
        _TYPES,
        _FIELDS,
        _CONTENTS,
        st.sampled_from((0, 0, 0, 0, 0, 0, 0, 0, 1, -1)),
        changes(),
        st.sampled_from((True, True, True, True, False)),
    ),
    st.booleans(),
)

ARCHIVES = (Target("archive", _SAID, _lying, Said, seconds=20.0),)
