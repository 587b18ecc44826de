"""``/login/oidc`` over HTTP: where a browser is sent, what it holds, and what it reads."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from edge.access.audit.entry import Event, Outcome
from edge.access.sessions import cookie_name
from edge.admin.entrance import Entrance
from edge.admin.login import log_in_routes
from edge.admin.login_witness import LogInWitness
from edge.admin.oidc import ProviderRoutes, pending_cookie_name
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.root import create_root
from edge.index.database import Database
from tests.access.oidc.conftest import Way
from tests.access.oidc.provider import FakeProvider
from tests.access.people import World


class Record:
    """What would be in the audit."""

    def __init__(self):
        self.entries = []
        self.put = self.suspect = self.entries.append
        self.clock = lambda: 1.0


FROM_THERE = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Host": "edge.local:8443",
}
"""What a browser says that a link of another site, or a redirect, sent here."""


@pytest.fixture
async def way(tmp_path):
    async with (
        FakeProvider() as fake,
        Database(tmp_path / "index.db", bytes(32)) as database,
    ):
        way = Way(fake, World(database))
        way.record = Record()
        yield way


def serve(way, *, tls=True):
    names = OwnNames(["edge.local", "pacs.clinic.example"])
    root = create_root({}, names=names)
    world, cookie = way.world, cookie_name(tls=tls)
    door = Entrance(world.gate, world.login, world.sessions, cookie=cookie, tls=tls)
    root.add_routes(log_in_routes(door))
    witness = LogInWitness(way.record, world.gate)
    root.add_routes(ProviderRoutes(way.login, door, names.has, witness, tls=tls).routes())
    # Cookies are looked at by the tests, which are no browser.
    return TestClient(TestServer(root), headers=FROM_THERE, cookie_jar=DummyCookieJar())


@pytest.fixture
async def client(way):
    async with serve(way) as opened:
        yield opened


def cookies(answer):
    """Name -> value and flags."""
    found = {}
    for header in answer.headers.getall("Set-Cookie", []):
        pair, *flags = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        found[name] = value, set(flags)
    return found


async def begin(client, **headers):
    answer = await client.get("/login/oidc", allow_redirects=False, headers=headers)
    assert answer.status == 303, await answer.text()
    return answer


async def come_back(client, way, begun, **changed):
    path = way.fake.back(begun.headers["Location"], **changed)
    [(name, (value, _))] = cookies(begun).items()
    return await client.get(path, headers={"Cookie": f"{name}={value}"}, allow_redirects=False)


async def test_a_log_in_from_its_beginning_to_its_end(client, way):
    begun = await begin(client)
    ended = await come_back(client, way, begun)
    assert ended.status == 200
    text = await ended.text()
    assert "You are Anna." in text
    assert 'content="0; url=/"' in text
    assert ended.headers["Cache-Control"] == "no-store"
    found = cookies(ended)
    secret, flags = found.pop("__Host-edge")
    assert flags == {"HttpOnly", "Path=/", "SameSite=Strict", "Secure"}
    assert found == {
        "__Host-edge-oidc": ('""', flags - {"SameSite=Strict"} | {"Max-Age=0", "SameSite=Lax"})
    }
    headers = {"Cookie": f"__Host-edge={secret}", "Sec-Fetch-Site": "same-origin"}
    said = await (await client.get("/login", headers=headers)).json()
    assert (said["name"], said["role"], said["proved"]) == ("oidc:anna", "physician", "provider")


async def test_who_came_and_who_did_not_is_in_the_audit(client, way):
    await come_back(client, way, await begin(client))
    way.fake.people["sub-anna"]["groups"] = ["others"]
    await come_back(client, way, await begin(client))
    came, refused = way.record.entries
    assert (came.event, came.outcome) == (Event.LOGGED_IN, Outcome.SUCCESS)
    assert came.what == "/login/oidc/back"
    assert (came.actor.name, came.actor.role) == ("oidc:anna", "physician")
    assert (came.actor.proof, came.actor.address) == ("provider", "127.0.0.1")
    assert (refused.event, refused.outcome) == (Event.LOGGED_IN, Outcome.REFUSED)
    assert refused.actor.name == ""
    assert "no role" in refused.reason


async def test_cookie_flags_of_a_log_in_under_way(client):
    [(name, (_, flags))] = cookies(await begin(client)).items()
    assert name == "__Host-edge-oidc"
    assert flags == {"HttpOnly", "Path=/", "SameSite=Lax", "Secure", "Max-Age=600"}


async def test_without_tls_there_is_no_secure_that_would_keep_it_out(way):
    async with serve(way, tls=False) as client:
        begun = await begin(client)
        [(name, (_, flags))] = cookies(begun).items()
        assert (name, "Secure" in flags) == (pending_cookie_name(tls=False), False)
        said = dict(parse_qsl(urlsplit(begun.headers["Location"]).query))
        assert said["redirect_uri"] == "http://edge.local:8443/login/oidc/back"
        assert (await come_back(client, way, begun)).status == 200


@pytest.mark.parametrize("host", ["edge.local:8443", "pacs.clinic.example", "192.168.1.5:8443"])
async def test_it_comes_back_to_the_name_that_it_was_begun_by(client, host):
    begun = await begin(client, Host=host)
    said = dict(parse_qsl(urlsplit(begun.headers["Location"]).query))
    assert said["redirect_uri"] == f"https://{host}/login/oidc/back"


@pytest.mark.parametrize("host", ["evil.example", "edge.local.evil.example", "edge.local@evil"])
async def test_the_page_leads_elsewhere_no_more_than_to_names_of_the_box(client, way, host):
    answer = await client.get("/login/oidc", headers={"Host": host}, allow_redirects=False)
    assert answer.status == 421
    assert "Location" not in answer.headers
    assert way.fake.asked == []


@pytest.mark.parametrize("name", ["next", "redirect_uri", "return_to", "url", "iss", "issuer"])
async def test_the_page_leads_elsewhere_for_no_parameter(client, way, name):
    path = f"/login/oidc?{name}=https://evil.example/"
    begun = await client.get(path, allow_redirects=False)
    assert "evil" not in begun.headers["Location"]
    path = way.fake.back(begun.headers["Location"])
    [(cookie, (value, _))] = cookies(begun).items()
    path += "" if name == "iss" else f"&{name}=https://evil.example/"
    ended = await client.get(path, headers={"Cookie": f"{cookie}={value}"}, allow_redirects=False)
    assert ended.status == 200
    assert "evil" not in await ended.text()


async def test_login_csrf_a_browser_that_began_nothing_is_logged_in_as_nobody(client, way):
    begun = await begin(client)
    path = way.fake.back(begun.headers["Location"])
    answer = await client.get(path, allow_redirects=False)
    assert answer.status == 403
    assert "__Host-edge" not in cookies(answer)
    assert "WWW-Authenticate" not in answer.headers  # a browser would ask for a password


async def test_a_thing_that_is_said_twice_is_not_taken(client, way):
    begun = await begin(client)
    path = way.fake.back(begun.headers["Location"]) + "&state=other"
    [(name, (value, _))] = cookies(begun).items()
    answer = await client.get(path, headers={"Cookie": f"{name}={value}"})
    assert answer.status == 403


async def test_a_cookie_that_comes_twice_is_none(client, way):
    begun = await begin(client)
    path = way.fake.back(begun.headers["Location"])
    [(name, (value, _))] = cookies(begun).items()
    answer = await client.get(path, headers={"Cookie": f"{name}={value}; {name}=planted"})
    assert answer.status == 403


async def test_session_fixation_a_planted_cookie_is_not_taken_up(client, way):
    begun = await begin(client)
    planted = "A" * 43
    path = way.fake.back(begun.headers["Location"])
    [(name, (value, _))] = cookies(begun).items()
    headers = {"Cookie": f"{name}={value}; __Host-edge={planted}"}
    answer = await client.get(path, headers=headers)
    assert cookies(answer)["__Host-edge"][0] not in (planted, "")
    assert await way.world.sessions.verify(planted) is None


@pytest.mark.parametrize(
    "error", ["access_denied", "server_error", "<script>alert(1)</script>", "\r\nSet-Cookie: a=b"]
)
async def test_a_refusal_is_told_in_our_words(client, way, error):
    begun = await begin(client)
    answer = await come_back(client, way, begun, code=None, error=error, error_description="<b>x")
    assert answer.status == 403
    text = await answer.text()
    assert "identity provider" in text
    assert "script" not in text
    assert "<b>" not in text
    assert set(cookies(answer)) == {"__Host-edge-oidc"}


async def test_a_name_is_shown_as_text(client, way):
    way.fake.people["sub-anna"]["name"] = "<script>alert(1)</script>{title}"
    ended = await come_back(client, way, await begin(client))
    text = await ended.text()
    assert "<script" not in text
    assert "{title}" in text


async def test_who_has_no_role_is_told_so(client, way):
    way.fake.people["sub-anna"]["groups"] = ["others"]
    answer = await come_back(client, way, await begin(client))
    assert answer.status == 403
    assert "no role on this box" in await answer.text()


async def test_a_provider_that_is_away_is_no_defect(client, way):
    await way.fake.stop()
    answer = await client.get("/login/oidc", allow_redirects=False)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "30"
    assert "refuses the connection" in await answer.text()


async def test_a_page_of_another_origin_can_have_it_asked_for_by_a_link_alone(client, way):
    begun = await begin(client)
    path = way.fake.back(begun.headers["Location"])
    [(name, (value, _))] = cookies(begun).items()
    headers = {"Cookie": f"{name}={value}", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert (await client.get(path, headers=headers)).status == 403
    assert ("POST", "/token") not in way.fake.asked
    for method in ("HEAD", "POST"):
        assert (await client.request(method, "/login/oidc")).status in (403, 405)


async def test_an_admin_is_sent_back_once_to_show_more(way):
    settings = way.world.settings
    oidc = replace(settings.oidc, admin_acr=("phr", "mfa"), admin_max_age_minutes=60.0)
    way.world.settings = replace(settings, oidc=oidc)
    way.start()
    way.fake.people["sub-anna"]["groups"] = ["grp-it"]
    async with serve(way) as client:
        begun = await begin(client)
        assert "acr_values" not in begun.headers["Location"]
        again = await come_back(client, way, begun)
        assert again.status == 303
        said = dict(parse_qsl(urlsplit(again.headers["Location"]).query))
        assert (said["acr_values"], said["max_age"]) == ("phr mfa", "3600")
        refused = await come_back(client, way, again)
        assert refused.status == 403
        for claims, status in (
            ({"acr": "phr"}, 403),
            ({"acr": "phr", "auth_time": way.clock.now - 3661}, 403),
            ({"acr": "pwd", "auth_time": way.clock.now}, 403),
            ({"acr": ["phr"], "auth_time": way.clock.now}, 403),
            ({"acr": "phr", "auth_time": True}, 403),
            ({"acr": "phr", "auth_time": 10**400}, 403),
            ({"acr": "phr", "auth_time": way.clock.now - 3600}, 200),
        ):
            way.fake.extra = {}
            again = await come_back(client, way, await begin(client))
            way.fake.extra = claims
            ended = await come_back(client, way, again)
            assert ended.status == status, claims
