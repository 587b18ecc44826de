"""Answers on the wire: multipart, single parts, problem documents."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp import ClientSession, web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.dicom.multipart import MultipartParser, PartData, PartStart, boundary_of
from edge.dicomweb.responses import MultipartWriter, Refused, dicom_json, problem


@pytest.fixture
async def answering():
    """Serves what is put into ``answering.handler``; asks for it with ``answering.get()``."""

    class Answering:
        handler = None
        url = ""

        async def get(self, method="GET"):
            async with ClientSession() as http, http.request(method, self.url) as answer:
                return answer, await answer.read()

    server = Answering()

    async def handle(request):
        return await server.handler(request)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/"
    yield server
    await runner.cleanup()


@pytest.mark.parametrize(
    ("media_type", "shrinks"), [("application/dicom+xml", True), ("application/dicom", False)]
)
async def test_parts_of_text_are_compressed(answering, media_type, shrinks):
    async def handler(request):
        writer = MultipartWriter(request, media_type)
        part = {"Content-Type": media_type}
        writer.announce([(part, 100_000)])
        writer.open_part(part)
        await writer.write(bytes(100_000))
        return await writer.end()

    answering.handler = handler
    answer, body = await answering.get()
    assert (answer.headers.get("Content-Encoding") == "gzip") is shrinks
    assert body.count(bytes(100_000)) == 1


PARTS = st.lists(
    st.tuples(st.sampled_from(["a/b", "image/jpeg"]), st.lists(st.binary(max_size=200))), max_size=5
)


@given(parts=PARTS, announced=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_parts_are_read_back_as_they_were_written(answering, parts, announced):
    async def handler(request):
        writer = MultipartWriter(request, "application/dicom")
        if announced:
            writer.announce([({"Content-Type": kind}, len(b"".join(body))) for kind, body in parts])
        for kind, body in parts:
            writer.open_part({"Content-Type": kind})
            for piece in body:
                await writer.write(piece)
        return await writer.end()

    answering.handler = handler
    answer, body = await answering.get()
    assert ("Content-Length" in answer.headers) is announced
    parser = MultipartParser(boundary_of(answer.headers["Content-Type"]))
    events = parser.feed(body)
    parser.finish()
    kinds = [event.headers["content-type"] for event in events if isinstance(event, PartStart)]
    content = b"".join(event.data for event in events if isinstance(event, PartData))
    assert kinds == [kind for kind, _ in parts]
    assert content == b"".join(piece for _, pieces in parts for piece in pieces)


async def test_nothing_is_sent_before_the_first_byte_of_a_part(answering):
    async def handler(request):
        writer = MultipartWriter(request, "application/dicom")
        writer.open_part({"Content-Type": "application/dicom"})
        return web.Response(status=503, text="not now")

    answering.handler = handler
    answer, body = await answering.get()
    assert (answer.status, body) == (503, b"not now")


async def test_a_problem_leaves_out_what_it_does_not_know(answering):
    async def handler(request):
        return problem(request, 404, "gone")

    answering.handler = handler
    answer, body = await answering.get()
    assert answer.status == 404
    assert msgspec.json.decode(body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "gone",
    }


def test_json_is_compact_and_utf_8():
    answer = dicom_json([{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller"}]}}])
    assert answer.body == '[{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller"}]}}]'.encode()


def test_a_refusal_carries_status_and_headers():
    refused = Refused(415, "no", hint="yes", headers={"Accept-Post": "x"})
    assert (refused.status, str(refused), refused.hint) == (415, "no", "yes")
    assert refused.headers == {"Accept-Post": "x"}
