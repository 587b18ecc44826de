"""Everyday requests through a clinic's network: proxies, client certificates, portals, clocks."""

import datetime as dt
import ssl

import httpx
import pytest
import trustme
from aiohttp import web

from edge import others
from edge.cloud.archive import StoreOutcome
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.transport import Timeouts, is_lasting
from edge.errors import CloudIntercepted, CloudUnauthorised, CloudUnreachable
from tests.cloud.conftest import outgoing
from tests.fakes.edge import EdgeServer
from tests.fakes.proxy import Proxy
from tests.fakes.tls import tls_before
from tests.fakes.website import strict_server, website

PATIENCE = Timeouts(connect=3.0, read=3.0, write=3.0, store=3.0, answer=5.0)


def archive_at(url, **settings):
    return DicomwebArchive(others.Archive("cloud", url, **settings), timeouts=PATIENCE)


async def failure(url, **settings):
    """What a search there raises."""
    async with archive_at(url, **settings) as archive:
        with pytest.raises(CloudUnreachable) as caught:
            await archive.search_studies(limit=1)
    return caught.value


def words(error):
    return f"{error} | {error.hint}"


# Authorities -----------------------------------------------------------------------------------


def pem_of(authority):
    return authority.cert_pem.bytes().decode()


async def test_an_authority_is_believed_on_the_way_to_its_archive_and_to_its_tokens(fake, slices):
    """Be it the one at the root, or the one below it that signed the archive's certificate."""
    root = trustme.CA()
    below = root.create_child_ca()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    below.issue_cert("127.0.0.1").configure_cert(server)
    fake.authorization = "Bearer given"

    async def give(request):
        return web.json_response({"access_token": "given", "expires_in": 60})

    async with (
        website(give) as tokens,
        tls_before(httpx.URL(tokens).port, server) as token_port,
        tls_before(fake.port, server) as port,
    ):
        url = f"https://127.0.0.1:{port}/dicom-web"
        login = {"client_id": "box", "client_secret": "secret"}
        auth = others.Auth("oauth2", token_url=f"https://127.0.0.1:{token_port}/token", **login)
        for authority in (root, below):
            async with archive_at(url, auth=auth, authority=pem_of(authority)) as archive:
                await archive.store_instances([outgoing(slices[0])])
        bearer = others.Auth("bearer", token="given")
        for stranger in ("", pem_of(trustme.CA())):
            error = await failure(url, auth=bearer, authority=stranger)
            assert "is not trusted" in words(error)
            assert "give the box its authority's certificate: on its page" in words(error)


async def test_an_authority_is_believed_beside_the_file_of_tls_ca(fake, slices, tmp_path):
    known, given = trustme.CA(), trustme.CA()
    known.cert_pem.write_to_path(tmp_path / "ca.pem")
    for signer in (known, given):
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        signer.issue_cert("127.0.0.1").configure_cert(server)
        async with tls_before(fake.port, server) as port:
            url = f"https://127.0.0.1:{port}/dicom-web"
            both = {"tls_ca": tmp_path / "ca.pem", "authority": pem_of(given)}
            async with archive_at(url, **both) as archive:
                await archive.search_studies(limit=1)


# Proxies ---------------------------------------------------------------------------------------


async def there_and_back(archive, slices):
    results = await archive.store_instances([outgoing(part) for part in slices])
    assert {result.outcome for result in results} == {StoreOutcome.STORED}
    for part in slices:
        pieces = [piece async for piece in archive.retrieve_instance(part.ref)]
        assert b"".join(pieces) == part.data
    await archive.delete_instance(slices[0].ref)
    ref = slices[0].ref
    assert len(await archive.search_instances(ref.study_uid, ref.series_uid)) == len(slices) - 1


async def test_http_is_forwarded_by_a_proxy_that_alone_knows_the_name(fake, slices):
    url = f"http://archive.invalid:{fake.port}/dicom-web"
    fake.authorization = "Bearer of-the-archive"
    auth = others.Auth("bearer", token="of-the-archive")
    async with Proxy(("box", "a:secret"), {"archive.invalid": "127.0.0.1"}) as proxy:
        login = {"proxy": proxy.url, "proxy_user": "box", "proxy_password": "a:secret"}
        async with archive_at(url, auth=auth, **login) as archive:
            await there_and_back(archive, slices)
        assert proxy.asked[0] == f"POST {url}/studies"
        assert not any(asked.startswith("CONNECT") for asked in proxy.asked)


async def test_https_goes_through_a_tunnel_and_the_proxy_sees_nothing(tmp_path, slices):
    server = EdgeServer(tmp_path / "archive", tls="auto")
    await server.start()
    auth = others.Auth("bearer", token=server.admin_token)
    way = {"auth": auth, "tls_ca": server.authority}
    async with Proxy(("box", "secret")) as proxy:
        login = {"proxy": proxy.url, "proxy_user": "box", "proxy_password": "secret"}
        async with archive_at(server.dicomweb, **way, **login) as archive:
            await there_and_back(archive, slices)
        assert {asked.split(" ")[0] for asked in proxy.asked} == {"CONNECT"}
        assert server.admin_token.encode() not in b"".join(proxy.heads)
    await server.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_login_is_named_and_must_be_mended(fake, slices, scheme):
    url = fake.url.replace("http", scheme)
    async with Proxy(("box", "right")) as proxy:
        error = await failure(url, proxy=proxy.url)
        assert "wants a login" in words(error)
        assert is_lasting(error)
        wrong = {"proxy": proxy.url, "proxy_user": "box", "proxy_password": "wrong"}
        error = await failure(url, **wrong)
        assert "refuses these credentials" in words(error)
        assert is_lasting(error)
        async with archive_at(url, **wrong) as archive:
            with pytest.raises(CloudUnreachable, match="refuses these credentials"):
                await archive.store_instances([outgoing(slices[0])])
    assert not fake.requests


async def test_a_proxy_that_is_down_is_not_called_the_archive(fake, free_port):
    nowhere = f"http://127.0.0.1:{free_port()}"
    error = await failure(fake.url, proxy=nowhere)
    assert str(error).startswith("archive cloud: the proxy 127.0.0.1:")
    assert not is_lasting(error)
    error = await failure(fake.url, proxy="http://proxy.invalid:3128")
    assert "the name of the proxy proxy.invalid can't be resolved" in words(error)
    async with Proxy() as proxy:
        proxy.silent = True
        async with DicomwebArchive(
            others.Archive("cloud", "https://archive.invalid", proxy=proxy.url),
            timeouts=Timeouts(connect=0.3, read=0.3),
        ) as archive:
            with pytest.raises(CloudUnreachable, match="by way of the proxy") as caught:
                await archive.search_studies(limit=1)
    assert "fell silent" in str(caught.value)


async def test_an_archive_behind_the_proxy_that_is_down_is_not_called_the_proxy(fake, free_port):
    port = free_port()
    async with Proxy() as proxy:
        error = await failure(f"https://127.0.0.1:{port}", proxy=proxy.url)
        assert f"can't reach 127.0.0.1:{port} (502" in words(error)
        proxy.forbidden.add(fake.port)
        error = await failure(f"https://127.0.0.1:{fake.port}", proxy=proxy.url)
    assert "does not let us through to" in words(error)


async def test_whether_anything_answers_is_asked_of_the_proxy(fake, free_port):
    async with Proxy() as proxy:
        far = f"https://archive.invalid:{free_port()}"
        assert await archive_at(far, proxy=proxy.url).answers()
    assert not await archive_at(fake.url, proxy=proxy.url).answers()
    assert not await archive_at(far).answers()


async def test_a_proxy_that_nobody_named_may_want_a_login():
    async def stranger(request):
        return web.Response(status=407)

    async with website(stranger) as url:
        error = await failure(url)
    assert "a proxy on the way wants a login" in words(error)
    assert is_lasting(error)


# Client certificates ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def pair_of(leaf, folder):
    folder.mkdir()
    certificate, key = folder / "box.pem", folder / "box.key"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    return {"tls_certificate": certificate, "tls_key": key}


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_and_its_refusal_is_named(
    authority, trusted, tmp_path, slices, most
):
    ours = pair_of(authority.issue_cert("box.example"), tmp_path / "ours")
    other = pair_of(trustme.CA().issue_cert("box.example"), tmp_path / "other")
    with strict_server(authority.issue_cert("127.0.0.1"), authority, most) as url:
        async with archive_at(url, tls_ca=trusted, **ours) as archive:
            assert await archive.search_studies(limit=1) == []
        error = await failure(url, tls_ca=trusted)
        assert "wants a client certificate" in words(error)
        assert is_lasting(error)
        error = await failure(url, tls_ca=trusted, **other)
        assert "does not know the authority of our client certificate" in words(error)
        assert is_lasting(error)
        async with archive_at(url, tls_ca=trusted) as archive:
            became = await became_of_a_store(archive, slices[0])
    # Over TLS 1.3 the alert may be lost behind the connection that is cut: who asks next is told.
    lost = (StoreOutcome.UNKNOWN,) if most is ssl.TLSVersion.TLSv1_3 else ()
    assert became in lost or "wants a client certificate" in became


async def became_of_a_store(archive, part):
    try:
        (result,) = await archive.store_instances([outgoing(part)])
    except CloudUnreachable as error:
        return str(error)
    return result.outcome


@pytest.mark.parametrize(
    "text", ["<html>No required SSL certificate was sent</html>", "The SSL certificate error"]
)
async def test_a_client_certificate_that_is_missed_in_the_answer_is_named(text):
    async def nginx(request):
        return web.Response(status=400, text=text, content_type="text/html")

    async with website(nginx) as url, archive_at(url) as archive:
        with pytest.raises(CloudUnauthorised, match="client certificate") as caught:
            await archive.search_studies(limit=1)
    assert "tls_certificate" in caught.value.hint


async def test_who_refuses_a_client_certificate_without_a_word_cuts_the_connection(
    authority, trusted
):
    """As asyncio's servers do."""

    async def nothing(request):
        return web.json_response([])

    async with website(nothing, authority.issue_cert("127.0.0.1"), clients=authority) as url:
        error = await failure(url, tls_ca=trusted)
    assert "was cut" in words(error)
    assert not is_lasting(error)


# Who answers in the archive's place -------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "http://portal.example/login?mac=00"}, ""),
        (307, {"Location": "/login"}, ""),
        (511, {}, ""),
        (200, {"Content-Type": "text/html"}, "Please log in"),
        (200, {"Content-Type": "text/plain"}, "  <!DOCTYPE html><html>Welcome"),
    ],
)
async def test_a_captive_portal_is_named(status, headers, body):
    async def portal(request):
        return web.Response(status=status, headers=headers, body=body.encode())

    async with website(portal) as url:
        error = await failure(url)
    assert isinstance(error, CloudIntercepted)
    assert "captive portal" in words(error)
    assert "mac=" not in words(error)
    assert is_lasting(error)


async def test_an_archive_that_moved_to_https_says_where():
    async def moved(request):
        to = str(request.url.with_scheme("https"))
        return web.Response(status=301, headers={"Location": to})

    async with website(moved) as url:
        error = await failure(url)
    assert "let the url begin with https://127.0.0.1" in words(error)


async def test_a_web_page_in_place_of_an_image_is_named(nowhere):
    async def page(request):
        return web.Response(text="<html>", content_type="text/html")

    async with website(page) as url, archive_at(url) as archive:
        with pytest.raises(CloudIntercepted, match="a web page where DICOM is due"):
            await anext(archive.retrieve_instance(nowhere))


# Clocks ----------------------------------------------------------------------------------------


def at(days):
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


async def test_a_wrong_clock_is_named_by_the_date_of_the_archive(authority, trusted):
    ended = authority.issue_cert("127.0.0.1", not_before=at(-30), not_after=at(-5))
    seen = []

    async def ten_days_ago(request):
        seen.append(request.headers)
        date = at(-10).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return web.Response(headers={"Date": date})

    async with website(ten_days_ago, ended) as url:
        auth = others.Auth("bearer", token="a-secret")
        error = await failure(url, tls_ca=trusted, auth=auth)
    assert "this box's clock is wrong" in words(error)
    assert "10 days ahead of the archive's" in words(error) or "9 days" in words(error)
    assert is_lasting(error)
    # Whoever shows such a certificate learns nothing of us.
    assert len(seen) == 1
    assert not any("Authorization" in headers for headers in seen)


async def test_a_certificate_that_has_ended_is_named_when_the_clocks_agree(authority, trusted):
    ended = authority.issue_cert("127.0.0.1", not_before=at(-30), not_after=at(-5))

    async def now(request):
        return web.Response()

    async with website(now, ended) as url:
        error = await failure(url, tls_ca=trusted)
    assert "expired on" in words(error)
    assert "not valid at this time" in words(error)
    assert "clock" not in words(error)
    assert is_lasting(error)


async def test_an_untimely_certificate_is_named_even_if_nobody_tells_the_time(authority, trusted):
    early = authority.issue_cert("127.0.0.1", not_before=at(3), not_after=at(30))

    async def cut(request):
        request.transport.abort()
        return web.Response()

    async with website(cut, early) as url:
        error = await failure(url, tls_ca=trusted)
    assert "is valid from" in words(error)
    assert "check this box's clock first" in words(error)
