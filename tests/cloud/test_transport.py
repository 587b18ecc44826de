import asyncio
import datetime as dt
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme

from edge import others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.transport import Timeouts, error_of_status, is_lasting, new_client
from edge.errors import CloudRefused, CloudUnauthorised, CloudUnreachable, ConfigError


async def failure(url, tls_ca=None, **timeouts):
    """What a search of that archive says."""
    settings = others.Archive("cloud", url, **({"tls_ca": tls_ca} if tls_ca else {}))
    async with DicomwebArchive(settings, timeouts=Timeouts(**timeouts)) as archive:
        with pytest.raises(CloudUnreachable) as caught:
            await archive.search_studies(limit=1)
    assert str(caught.value).startswith("archive cloud: ")
    return f"{caught.value} | {caught.value.hint}"


@asynccontextmanager
async def server(talk, tls=None):
    """Any TCP server; the port it listens on."""

    async def handle(reader, writer):
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]


def saying(answer):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return talk


async def test_a_name_that_does_not_resolve():
    assert "name archive.invalid can't be resolved" in await failure("http://archive.invalid/x")


async def test_a_port_that_nobody_listens_on(free_port):
    port = free_port()
    assert f"127.0.0.1:{port} refuses the connection" in await failure(f"http://127.0.0.1:{port}")


async def test_an_archive_that_falls_silent():
    async def talk(reader, writer):
        await reader.read()

    async with server(talk) as port:
        assert "fell silent" in await failure(f"http://127.0.0.1:{port}", read=0.1)


async def test_an_archive_that_answers_a_byte_at_a_time_is_given_up():
    async def talk(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(talk) as port:
        words = await failure(f"http://127.0.0.1:{port}", read=5.0, answer=0.2)
    assert "fell silent" in words


async def test_a_connection_that_is_cut():
    async with server(saying(b"")) as port:
        assert "was cut" in await failure(f"http://127.0.0.1:{port}")


async def test_something_that_does_not_speak_http():
    async with server(saying(b"220 mail.example ESMTP\r\n")) as port:
        assert "was cut" in await failure(f"http://127.0.0.1:{port}")


async def test_a_captive_portal_is_named_as_a_possibility():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/html\r\n\r\n<html>"
    async with server(saying(page)) as port:
        assert "captive portal" in await failure(f"http://127.0.0.1:{port}")


async def test_a_redirect_is_not_followed():
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    async with server(saying(moved)) as port:
        assert "302, a redirect" in await failure(f"http://127.0.0.1:{port}")


async def test_https_where_the_archive_speaks_http():
    async def talk(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with server(talk) as port:
        assert "does not speak TLS" in await failure(f"https://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def tls_of(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def test_a_certificate_of_an_unknown_authority(authority):
    tls = tls_of(authority.issue_cert("127.0.0.1"))
    async with server(saying(b""), tls) as port:
        words = await failure(f"https://127.0.0.1:{port}")
    assert "is not trusted" in words
    assert "tls_ca" in words


async def test_a_certificate_that_is_not_trusted_heals_only_by_a_person(authority):
    tls = tls_of(authority.issue_cert("127.0.0.1"))
    async with server(saying(b""), tls) as port:
        settings = others.Archive("cloud", f"https://127.0.0.1:{port}")
        async with DicomwebArchive(settings) as archive:
            with pytest.raises(CloudUnreachable) as caught:
                await archive.search_studies(limit=1)
    assert is_lasting(caught.value)


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (CloudUnauthorised("no"), True),
        (CloudRefused("no", status=404), True),
        (CloudUnreachable("no route"), False),
    ],
)
def test_what_lasts_until_a_person_does_something(error, lasting):
    assert is_lasting(error) is lasting


async def test_whether_anything_answers_there(free_port):
    async with server(saying(b"")) as port:
        assert await DicomwebArchive(others.Archive("cloud", f"http://127.0.0.1:{port}")).answers()
    nobody = DicomwebArchive(others.Archive("cloud", f"http://127.0.0.1:{free_port()}"))
    assert not await nobody.answers()


async def test_a_certificate_for_another_name(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = tls_of(authority.issue_cert("another.example"))
    async with server(saying(b""), tls) as port:
        words = await failure(f"https://127.0.0.1:{port}", tls_ca=tmp_path / "ca.pem")
    assert "another name" in words


async def test_a_certificate_that_has_expired(authority, tmp_path):
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = tls_of(authority.issue_cert("127.0.0.1", not_after=past))
    async with server(saying(b""), tls) as port:
        words = await failure(f"https://127.0.0.1:{port}", tls_ca=tmp_path / "ca.pem")
    assert "not valid at this time" in words
    assert "clock" in words


async def test_the_archives_own_authority_is_trusted_by_tls_ca(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = tls_of(authority.issue_cert("127.0.0.1"))
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with server(saying(answer), tls) as port:
        settings = others.Archive("cloud", f"https://127.0.0.1:{port}", tls_ca=tmp_path / "ca.pem")
        async with DicomwebArchive(settings) as archive:
            assert await archive.search_studies(limit=1) == []


def test_a_certificate_file_that_can_not_be_read_is_an_error_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match="tls_ca"):
        new_client(None, str(tmp_path / "missing.pem"), Timeouts(), encrypted=True)


async def test_the_environment_does_not_choose_a_proxy(monkeypatch, free_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with (
        server(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as port,
        DicomwebArchive(others.Archive("cloud", f"http://127.0.0.1:{port}")) as archive,
    ):
        assert await archive.search_studies(limit=1) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, CloudUnreachable),
        (400, CloudRefused),
        (401, CloudUnauthorised),
        (403, CloudUnauthorised),
        (404, CloudRefused),
        (407, CloudUnreachable),
        (413, CloudRefused),
        (429, CloudUnreachable),
        (500, CloudUnreachable),
        (503, CloudUnreachable),
        (507, CloudUnreachable),
        (511, CloudUnreachable),
    ],
)
def test_each_status_is_one_of_ours(status, error):
    headers = {"Location": "/"} if status == 301 else {}
    assert isinstance(
        error_of_status("cloud", httpx.Response(status, headers=headers), "asking"), error
    )


def test_success_is_no_error():
    assert error_of_status("cloud", httpx.Response(200), "asking") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        (
            # By the archive's clock, not by ours.
            {
                "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
                "Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT",
            },
            30.0,
        ),
        ({}, None),
    ],
)
def test_an_archive_that_is_busy_says_for_how_long(headers, seconds):
    error = error_of_status("cloud", httpx.Response(503, headers=headers), "asking")
    assert isinstance(error, CloudUnreachable)
    assert error.retry_after == seconds
