"""Signature Version 4: AWS's own vectors, and requests that a checking server takes."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import hashlib
import re
import shutil
import time

import httpx
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from edge import others
from edge.cloud.archive import StoreOutcome
from edge.cloud.aws import AwsAuth, Signer, canonical_path, canonical_query
from edge.cloud.dicomweb import DicomwebArchive
from edge.errors import CloudUnauthorised
from tests.cloud.conftest import outgoing

EMPTY = hashlib.sha256(b"").hexdigest()
FORM = "application/x-www-form-urlencoded"
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SESSION_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"
    "IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7W"
    "Z0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8F"
    "DrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
# AWS's Signature Version 4 test suite ("aws-sig-v4-test-suite"): names and signatures; then the
# targets that are not "/", and the headers beside Host and X-Amz-Date.
SUITE = """
get-vanilla                      5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-vanilla-query                5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-vanilla-empty-query-key      a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb
get-vanilla-query-order-key      eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1
get-vanilla-query-order-key-case b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500
get-vanilla-query-order-value    5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694
get-vanilla-query-order-encoded  371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac
get-vanilla-query-unreserved     9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197
get-vanilla-utf8-query           2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04
get-unreserved                   07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f
get-utf8                         8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85
get-space                        652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741
get-slash                        5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-slashes                      9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84
get-slash-dot-slash              5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-slash-pointless-dot          ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5
get-relative                     5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-relative-relative            5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
get-header-key-duplicate         c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea
get-header-value-order           08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01
get-header-value-trim            acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736
post-vanilla                     5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b
post-vanilla-query               28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11
post-header-key-sort             c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c
post-header-value-case           cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d
post-sts-header-before           85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead
post-x-www-form-urlencoded       ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a
post-x-www-form-urlencoded-parameters
                                 1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe
"""
TARGETS = {
    "get-vanilla-empty-query-key": "/?Param1=value1",
    "get-vanilla-query-order-key": "/?Param1=value2&Param1=Value1",
    "get-vanilla-query-order-key-case": "/?Param2=value2&Param1=value1",
    "get-vanilla-query-order-value": "/?Param1=value2&Param1=value1",
    "get-vanilla-query-order-encoded": "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
    "get-vanilla-query-unreserved": f"/?-._~{LETTERS}=-._~{LETTERS}",
    "get-vanilla-utf8-query": "/?ሴ=bar",
    "get-unreserved": f"/-._~{LETTERS}",
    "get-utf8": "/ሴ",
    "get-space": "/example space/",
    "get-slash": "//",
    "get-slashes": "//example//",
    "get-slash-dot-slash": "/./",
    "get-slash-pointless-dot": "/./example",
    "get-relative": "/example/..",
    "get-relative-relative": "/example1/example2/../..",
    "post-vanilla-query": "/?Param1=value1",
}
HEADERS = {
    "get-header-key-duplicate": [("My-Header1", value) for value in ("value2", "value2", "value1")],
    "get-header-value-order": [("My-Header1", f"value{n}") for n in (4, 1, 3, 2)],
    "get-header-value-trim": [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
    "post-header-key-sort": [("My-Header1", "value1")],
    "post-header-value-case": [("My-Header1", "VALUE1")],
    "post-sts-header-before": [("X-Amz-Security-Token", SESSION_TOKEN)],
    "post-x-www-form-urlencoded": [("Content-Type", FORM)],
    "post-x-www-form-urlencoded-parameters": [("Content-Type", f"{FORM}; charset=utf8")],
}
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # AWS's example


def suite_signer(region="us-east-1"):
    return Signer("AKIDEXAMPLE", SECRET, region, "service")


@pytest.mark.parametrize(("name", "signature"), re.findall(r"(\S+)\s+([0-9a-f]{64})", SUITE))
def test_a_vector_of_aws(name, signature):
    body = b"Param1=value1" if name.startswith("post-x-www") else b""
    headers = [
        ("Host", "example.amazonaws.com"),
        *HEADERS.get(name, ()),
        ("X-Amz-Date", "20150830T123600Z"),
    ]
    said = suite_signer().authorization(
        name.partition("-")[0].upper(),
        TARGETS.get(name, "/").encode(),
        headers,
        hashlib.sha256(body).hexdigest(),
    )
    names = ";".join(sorted({header.lower() for header, _ in headers}))
    assert said == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (b"", "/"),
        (b"/a/b", "/a/b"),
        (b"/a/b/", "/a/b/"),
        (b"/a/./b/../c", "/a/c"),
        (b"/a/b/..", "/a/"),
        (b"/a/.", "/a/"),
        (b"/../../a", "/a"),
        (b"/a%20b/c%2Fd", "/a%2520b/c%252Fd"),  # what is sent encoded is encoded once more
        (b"/a~b/c:d", "/a~b/c%3Ad"),
        (b"/a/...", "/a/..."),
    ],
)
def test_a_path_in_its_canonical_form(path, canonical):
    assert canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        (b"", ""),
        (b"b=2&a=1", "a=1&b=2"),
        (b"a", "a="),
        (b"a=", "a="),
        (b"&&a=1&", "a=1"),
        (b"a=b=c", "a=b%3Dc"),
        (b"a=%2a%2f", "a=%2A%2F"),
        (b"a=%7E~", "a=~~"),
        (b"a=*", "a=%2A"),
        (b"B=1&a=2", "B=1&a=2"),  # by bytes, not by letters
        (b"ab=1&a=2", "a=2&ab=1"),  # by name before value
        (b"a=2&a=10", "a=10&a=2"),
        (b"=1", "=1"),
    ],
)
def test_a_query_in_its_canonical_form(query, canonical):
    assert canonical_query(query) == canonical


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_the_canonical_query_does_not_depend_on_how_it_was_written(pairs):
    written = str(httpx.QueryParams(pairs)).replace("+", "%20").encode()
    backwards = str(httpx.QueryParams(pairs[::-1])).replace("+", "%20").encode()
    canonical = canonical_query(written)
    assert canonical == canonical_query(backwards) == canonical_query(canonical.encode())
    assert re.fullmatch(r"([\w.~&=-]|%[0-9A-F]{2})*", canonical, re.ASCII)


# Against a server that checks ---------------------------------------------------------------------


class Checking:
    """An archive that takes what is signed for it, at its own time."""

    def __init__(self):
        self.ahead = 0.0
        self.requests = []
        self.bodies = []
        self.session_token = ""
        self.said_time = True

    async def __aenter__(self):
        application = web.Application(client_max_size=10**9)
        application.add_routes([web.route("*", "/{path:.*}", self._answer)])
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/datastore/0a1b"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _answer(self, request):
        body = await request.read()
        self.requests.append(request)
        self.bodies.append(body)
        now = time.time() + self.ahead
        date = email.utils.formatdate(now, usegmt=True) if self.said_time else "yesterday"
        if not self._is_signed(request, body, now):
            return web.Response(status=403, headers={"Date": date})
        return web.json_response([], headers={"Date": date})

    def _is_signed(self, request, body, now):
        headers = request.headers
        sent = dt.datetime.strptime(f"{headers['X-Amz-Date']}+0000", "%Y%m%dT%H%M%SZ%z")
        if abs(sent.timestamp() - now) > 300:
            return False
        names = re.search(r"SignedHeaders=([^,]*)", headers["Authorization"])[1].split(";")
        amazons = {name.lower() for name in headers if name.lower().startswith("x-amz-")}
        assert {"host", *amazons} <= set(names)
        assert ("content-type" in names) == ("Content-Type" in headers)
        if headers.get("X-Amz-Security-Token", "") != self.session_token:
            return False
        payload = headers.get("X-Amz-Content-Sha256") or hashlib.sha256(body).hexdigest()
        signed = [(name, value) for name in names for value in headers.getall(name)]
        signer = Signer("AKIDEXAMPLE", SECRET, "eu-west-1", "medical-imaging")
        target = request.raw_path.encode()
        assert b"+" not in target
        expected = signer.authorization(request.method, target, signed, payload)
        return headers["Authorization"] == expected


@pytest.fixture
async def checking():
    async with Checking() as archive:
        yield archive


def client(checking, clock=None, **more):
    said = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "region": "eu-west-1"}
    auth = others.Auth("aws", **(said | more))
    archive = DicomwebArchive(others.Archive("cloud", checking.url, auth=auth))
    if clock is not None:
        archive._auth = AwsAuth(auth, clock=clock)
    return archive


async def test_requests_are_signed(checking):
    async with client(checking) as archive:
        assert await archive.search_studies({"PatientName": "A b+c*ü/&="}, limit=1) == []
        with pytest.raises(CloudUnauthorised, match="403"):
            async with client(checking, secret_access_key="wrong") as other:
                await other.search_studies(limit=1)
    assert checking.requests[0].query["PatientName"] == "A b+c*ü/&="
    assert "X-Amz-Content-Sha256" not in checking.requests[0].headers


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's package curl")
@pytest.mark.parametrize(
    ("words", "length"),
    [
        ((), 0),
        (("--data-binary", "@{file}"), 10_000),
        (
            # As AWS's guide stores an instance: the body goes out as it is.
            (
                *("-X", "POST", "--upload-file", "{file}"),
                *("-H", "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
                *("-H", "x-amz-decoded-content-length: 10000"),
            ),
            10_000,
        ),
    ],
)
async def test_curl_signs_as_we_do(checking, tmp_path, words, length):
    (tmp_path / "file").write_bytes(b"0123456789" * 1000)
    process = await asyncio.create_subprocess_exec(
        *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--user", f"AKIDEXAMPLE:{SECRET}"),
        *("--aws-sigv4", "aws:amz:eu-west-1:medical-imaging", "-H", "Content-Type: a/b"),
        *(word.format(file=tmp_path / "file") for word in words),
        f"{checking.url}/studies?limit=1&offset=2",
        stdout=asyncio.subprocess.PIPE,
    )
    answered, _ = await process.communicate()
    assert answered == b"200"
    assert [len(body) for body in checking.bodies] == [length]


async def test_a_body_in_memory_is_signed_by_its_digest(checking):
    async with client(checking) as archive:
        response, _ = await archive._ask("POST", f"{checking.url}/search", b"content")
    assert response.status_code == 200
    assert checking.bodies == [b"content"]


async def test_temporary_credentials_have_a_session_token(checking):
    checking.session_token = SESSION_TOKEN
    async with client(checking, session_token=SESSION_TOKEN) as archive:
        assert await archive.search_studies(limit=1) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ({"payload": "unsigned"}, "UNSIGNED-PAYLOAD"),
    ],
)
async def test_images_are_a_stream_whose_digest_nobody_knows(checking, slices, setting, said):
    async with client(checking, **setting) as archive:
        (result,) = await archive.store_instances([outgoing(slices[0])])
    assert result.outcome is not StoreOutcome.FAILED
    (request,) = checking.requests
    assert request.headers["X-Amz-Content-Sha256"] == said
    assert int(request.headers["X-Amz-Decoded-Content-Length"]) == len(checking.bodies[0])
    assert slices[0].data in checking.bodies[0]


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_a_clock_that_is_wrong_is_corrected_by_that_of_aws(checking, slices, ahead):
    checking.ahead = ahead
    async with client(checking) as archive:
        with pytest.raises(CloudUnauthorised):  # a stream is not sent twice
            await archive.store_instances([outgoing(slices[0])])
        assert len(checking.requests) == 1
        (result,) = await archive.store_instances([outgoing(slices[0])])
        assert result.outcome is not StoreOutcome.FAILED
        assert len(checking.requests) == 2
    async with client(checking) as archive:
        assert await archive.search_studies(limit=1) == []
        assert await archive.search_studies(limit=1) == []
    assert len(checking.requests) == 5


async def test_a_refusal_at_the_right_time_is_not_tried_again(checking):
    for said_time in (True, False):
        checking.said_time = said_time
        async with client(checking, secret_access_key="wrong") as archive:
            with pytest.raises(CloudUnauthorised):
                await archive.search_studies(limit=1)
    assert len(checking.requests) == 2


def test_the_secret_shows_in_no_repr():
    auth = others.Auth("aws", secret_access_key="hush", session_token="hush")
    assert "hush" not in f"{auth!r} {AwsAuth(auth)!r}"
