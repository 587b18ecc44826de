"""Who gets which page, and what is in it."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser

import httpx
import pytest

from edge.access.acts import Act, Service
from edge.access.audit.check import Report
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.access.sessions import Proved, Visitor, cookie_name
from edge.pages.resources import resources
from edge.pages.table import PAGES
from tests.browser.scene import PATIENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUARDED = [page for page in PAGES if page.act is not None]
PLAIN = [page for page in GUARDED if "{" not in page.path]


class Links(HTMLParser):
    """Every address in a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, value) for name, value in attrs if name in ("href", "src")]


def path_of(page):
    return page.path.replace("{study_uid}", "1.2.3")


@pytest.mark.parametrize("page", GUARDED, ids=lambda page: page.name)
async def test_who_is_not_logged_in_is_led_to_where_one_logs_in(browse, page):
    answer = await browse(path_of(page))
    assert answer.status_code == 303
    to = "" if page.path == "/" else f"?to={path_of(page)}"
    assert answer.headers["Location"] == f"/welcome{to}"
    assert not answer.content


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_gets_its_pages_and_the_navigation_has_those_alone(browse, cookies, role):
    for page in GUARDED:
        answer = await browse(path_of(page), cookies[role])
        assert answer.status_code == (200 if role.may(page.act) else 403), page
        assert answer.headers["Content-Type"].startswith("text/html")
        menu = answer.text.partition("<nav")[2].partition("</nav>")[0]
        shown = {value for tag, value in Links(menu).found if tag == "a"}
        assert shown == {
            one.path for one in PAGES if one.group and (one.act is None or role.may(one.act))
        }


async def test_a_viewer_is_nowhere_led_to_what_is_not_theirs(browse, cookies):
    forbidden = {page.path for page in GUARDED if not Role.VIEWER.may(page.act)}
    for page in (page for page in GUARDED if Role.VIEWER.may(page.act)):
        links = Links((await browse(path_of(page), cookies[Role.VIEWER])).text).found
        assert not {re.split("[?#]", value)[0] for _, value in links} & forbidden, page


async def test_what_only_an_admin_can_mend_is_said_to_them_alone(scene, browse, cookies):
    await scene.box.cache.tokens.issue(Role.SERVICE, "gateway-7", days=0.01)
    for role in Role:
        text = (await browse("/", cookies[role])).text
        # A token of so short a life is not spoken of before it ends; what endangers the machine is.
        assert ("/settings" in text) == role.may(Act.ADMINISTER)


async def heard(scene, cookie):
    """The state that somebody is told of first who listens to what happens."""
    async with (
        httpx.AsyncClient(base_url=scene.base, trust_env=False, timeout=60) as client,
        client.stream("GET", "/api/v1/events", headers=cookie) as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: state":
                break
        async for line in lines:
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without a state")


async def test_a_record_that_was_damaged_is_an_alarm_for_admins(scene, browse, cookies):
    damages = scene.box.cache.audit.damages
    await damages.note("entries 3 to 5 are missing")
    try:
        status = (await scene.box.cache.status({})).sentence
        assert (
            "The audit was found damaged: entries 3 to 5 are missing: edge check audit." in status
        )
        for role in Role:
            is_theirs = role.may(Act.ADMINISTER)
            said = (await browse("/api/v1/status", cookies[role])).json()
            assert (said["audit"]["damage"] != "") == is_theirs
            assert ("edge check audit" in said["sentence"]) == is_theirs
        async with asyncio.timeout(60):  # what was read a moment ago may be told once more
            while "edge check audit" not in (await heard(scene, cookies[Role.ADMIN]))["sentence"]:
                pass
        for role in set(Role) - {Role.ADMIN}:
            state = await heard(scene, cookies[role])
            assert "edge check audit" not in state["sentence"]
            assert state["level"] != "safe", "somebody is to be told, and by somebody"
    finally:
        await damages.checked(Report())


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.name)
async def test_no_patient_is_in_a_page_itself(browse, cookies, page):
    """Names come by the API, where the audit sees who gets them."""
    text = (await browse(page.path, cookies[Role.ADMIN])).text
    for name, patient_id, *_ in PATIENTS:
        assert name.partition("^")[0] not in text
        assert patient_id not in text


async def test_every_page_may_use_files_of_the_box_and_nothing_else(scene, browse, cookies):
    named = scene.base.replace("127.0.0.1", "localhost") + "/"
    for page in PAGES:
        answer = await browse(path_of(page), cookies[Role.ADMIN])
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        links = Links(answer.text).found
        assert len(links) > 3
        for _, value in links:
            # Or by another of its names, for this visit is by an address.
            assert value.startswith(("/", "#", named)), value


async def test_a_page_that_is_not_there_is_said_in_the_language_of_who_looks(browse, cookies):
    for cookie in (None, cookies[Role.VIEWER]):
        answer = await browse("/nowhere", cookie, Accept_Language="fr-CA")
        assert answer.status_code == 404
        assert "Cette page n" in answer.text
        assert "existe pas." in answer.text
        assert ("<nav" in answer.text) == (cookie is not None)


async def test_programs_get_documents_and_no_pages(browse):
    answer = await browse("/nowhere", Sec_Fetch_Mode="cors")
    assert answer.headers["Content-Type"] == "application/problem+json"
    answer = await browse("/api/v1/nowhere")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_language_and_colours_are_those_that_were_chosen(browse, cookies):
    cookie = {"Cookie": cookies[Role.VIEWER]["Cookie"] + "; edge-language=ar; edge-theme=dark"}
    text = (await browse("/", cookie, Accept_Language="es")).text
    assert '<html lang="ar" dir="rtl" data-theme="dark">' in text
    nonsense = {"Cookie": cookies[Role.VIEWER]["Cookie"] + '; edge-language="><x; edge-theme=x'}
    text = (await browse("/", nonsense, Accept_Language="es")).text
    assert '<html lang="es" dir="ltr" data-theme="auto">' in text


async def test_the_pieces_of_the_state_are_those_of_the_page(browse, cookies):
    answer = await browse("/page/state?parts=head,now,../x", cookies[Role.VIEWER])
    pieces = answer.json()
    assert set(pieces) == {"head", "now"}
    assert "<strong>3</strong>" in pieces["head"]
    page = (await browse("/", cookies[Role.VIEWER])).text
    assert pieces["now"].strip() in page


async def test_pieces_are_for_who_is_logged_in(browse):
    assert (await browse("/page/state?parts=head")).status_code == 401


async def test_files_stay_and_are_found_under_their_own_name_alone(browse):
    tree = resources().tree
    for name, file in tree.files.items():
        answer = await browse(tree.url(name), Accept_Encoding="gzip")
        assert answer.status_code == 200
        assert answer.content == file.body
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        assert (await browse(tree.url(name).replace(tree.name, "0" * 16))).status_code == 404
    for path in ("../door.py", "%2e%2e/door.py", "js/../../door.py", "page.css/"):
        assert (await browse(f"/page/static/{tree.name}/{path}")).status_code == 404


async def test_a_page_weighs_less_than_200_kb_all_told(browse, cookies):
    tree = resources().tree
    for page in PAGES:
        answer = await browse(path_of(page), cookies[Role.ADMIN], Accept_Encoding="gzip")
        links = [value for _, value in Links(answer.text).found if "/page/static/" in value]
        names = {re.sub(r"^/page/static/\w+/|#.*$", "", link) for link in links}
        weight = len(answer.content) + sum(len(tree.files[name].gzipped) for name in names)
        assert weight < 200_000, (page.name, weight)


async def test_who_guesses_at_a_page_is_in_the_record(scene, browse):
    await scene.user("anna", Role.VIEWER)
    await browse("/", Authorization="Basic YW5uYTp3cm9uZyBvbmU=")
    asked, folder = Asked(user="anna", event=Event.REFUSED), scene.box.cache.audit.folder
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(search, folder, asked, 9)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert found[0].what == "GET /"


async def test_who_reads_what_is_for_everybody_is_turned_away_from_nothing(scene, browse):
    """They may do nothing on the other pages; these are for whoever looks."""
    box = scene.box
    await scene.user("otto", Role.PHYSICIAN)
    await box.cache.users.change("otto", scope=Scope(services=frozenset({Service.CHANGEFEED})))
    visitor = Visitor("127.0.0.1", "a browser")
    secret, _ = await box.cache.sessions.open("otto", Role.PHYSICIAN, Proved.PASSKEY, visitor)
    cookie = {"Cookie": f"{cookie_name(tls=False)}={secret}"}
    for path in ("/help", "/emergency"):
        assert (await browse(path, cookie)).status_code == 200
    assert (await browse("/", cookie)).status_code == 403
    asked, folder = Asked(user="otto", event=Event.REFUSED), box.cache.audit.folder
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(search, folder, asked, 9)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert [one.what for one in found] == ["GET /"]
