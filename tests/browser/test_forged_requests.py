"""Pages of strangers, in the browser of somebody who is logged in at the box."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.access.roles import Role
from edge.access.sessions import Proved, Visitor, cookie_name
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests.browser.conftest import OWN_NAME
from tests.samples import ct_series

PATIENCE = 30.0
STRANGERS = ["evil.test", "edge.test.evil.test", "sub.edge.test", OWN_NAME]
"""The last two are the same site to a browser, so that it sends the cookie: another port of the
same host, and a name below it."""


@pytest.fixture
async def box(start):
    return await start()


async def store(box):
    (made,) = ct_series(1, rows=16, columns=16, seed=7)

    async def pieces():
        yield made.data

    await box.admission.store_instance(pieces(), Source(Origin.DICOMWEB, "test"))
    return made.ref


@pytest.fixture
async def study(box):
    """Of a patient, in the box."""
    return await store(box)


def base_of(box, host=OWN_NAME):
    return f"https://{host}:{box.http_port}"


async def logged_in(box, visit, **options):
    """The browser of an admin, with the cookie of a session."""
    handed = await box.cache.users.add("keeper", Role.ADMIN)
    await box.cache.users.redeem(handed.code, "seven quiet lamps")
    visitor = Visitor("127.0.0.1", "a browser")
    secret, _ = await box.cache.sessions.open("keeper", Role.ADMIN, Proved.PASSKEY, visitor)
    context = await visit(**options)
    await context.add_cookies(
        [
            {
                "name": cookie_name(tls=True),
                "value": secret,
                "url": base_of(box),
                "httpOnly": True,
                "secure": True,
                "sameSite": "Strict",
            }
        ]
    )
    return context


async def remembered(box, visit, **options):
    """The browser of an admin, who once typed user and password, which it sends since then."""
    token = await box.cache.tokens.create(Role.ADMIN, "keeper")
    credentials = {"username": "keeper", "password": token}
    context = await visit(http_credentials=credentials, **options)
    page = await context.new_page()
    answer = await page.goto(f"{base_of(box)}/dicom-web/studies")
    assert answer.status in (200, 204)
    await page.close()
    return context


@pytest.fixture(params=[logged_in, remembered], ids=["session", "password"])
async def log_in(request, box, visit):
    """Opens somebody's browser; the box lets in what it sends from pages of the box."""

    async def opened(**options):
        context = await request.param(box, visit, **options)
        page = await context.new_page()
        answer = await page.goto(f"{base_of(box)}/api/v1/status")
        assert answer.status == 200
        await page.close()
        return context

    return opened


@pytest.fixture
async def context(log_in):
    return await log_in()


async def intact(box, study):
    """Nothing was made or deleted."""
    assert len(await box.cache.tokens.list()) <= 1
    assert await box.cache.pins.all() == []
    assert (await box.status()).summary.instances == 1


ATTACK = """
<script>
const to = %(to)s, study = %(study)s;
const token = JSON.stringify({role: "admin", name: "evil", days: 1});
const forms = [
  ["POST", "/api/v1/tokens", token],
  ["POST", "/api/v1/pins", JSON.stringify({kind: "study", value: study})],
  ["POST", "/dicom-web/studies", token],
  ["DELETE", "/dicom-web/studies/" + study, undefined],
  ["GET", "/dicom-web/studies", undefined],
  ["GET", "/api/v1/tokens", undefined],
];
const read = [];
async function attack() {
  for (const [method, path, body] of forms) {
    for (const mode of ["no-cors", "cors"]) {
      try {
        const answer = await fetch(to + path, {method, body, mode, credentials: "include"});
        read.push([method, path, mode, answer.type, answer.status, await answer.text()]);
      } catch (error) {
        read.push([method, path, mode, "error", 0, ""]);
      }
    }
  }
  const picture = new Image();
  await new Promise((done) => {
    picture.onload = picture.onerror = done;
    picture.src = to + %(picture)s;
  });
  read.push(["GET", "picture", "no-cors", "image", picture.naturalWidth, ""]);
  return read;
}
</script>
"""


@pytest.mark.parametrize("host", STRANGERS)
async def test_a_strangers_script_changes_nothing_and_reads_nothing(
    box, context, study, stranger, host
):
    ref = study
    picture = f"/dicom-web/studies/{ref.study_uid}/rendered"
    stranger.html = ATTACK % {
        "to": json.dumps(base_of(box)),
        "study": json.dumps(ref.study_uid),
        "picture": json.dumps(picture),
    }
    page = await context.new_page()
    await page.goto(stranger.url(host))
    async with asyncio.timeout(PATIENCE):
        read = await page.evaluate("attack()")
    assert {(method, path) for method, path, *_ in read} >= {("POST", "/api/v1/tokens")}
    for method, path, _, kind, status, text in read:
        assert (status, text) == (0, ""), (method, path)
        assert kind in ("opaque", "error", "image")
    await intact(box, ref)


FORM = """
<form id="form" method="POST" enctype="text/plain" action="%(to)s/api/v1/pins">
  <input name='{"kind": "patient", "value": "P1", "issuer": "' value='"}'>
</form>
"""


@pytest.mark.parametrize("host", STRANGERS)
async def test_a_strangers_form_is_refused(box, context, study, stranger, host):
    """A form needs no leave of anybody, and its answer would be a page of the box."""
    stranger.html = FORM % {"to": base_of(box)}
    page = await context.new_page()
    await page.goto(stranger.url(host))
    async with page.expect_navigation() as sent:
        await page.evaluate("document.getElementById('form').submit()")
    answer = await sent.value
    assert answer.url == f"{base_of(box)}/api/v1/pins"
    assert answer.status in (401, 403)
    await intact(box, study)


async def test_the_same_form_of_the_box_itself_would_be_taken(box, log_in, study):
    """So it is where the form comes from for which it is refused."""
    context = await log_in(bypass_csp=True)
    page = await context.new_page()
    await page.goto(f"{base_of(box)}/api/v1/status")
    async with page.expect_navigation() as sent:
        await page.evaluate(
            """form => {
                document.head.innerHTML = '<meta name="referrer" content="same-origin">';
                document.body.innerHTML = form;
                document.forms[0].submit();
            }""",
            FORM % {"to": base_of(box)},
        )
    assert (await sent.value).status == 200
    (pin,) = await box.cache.pins.all()
    assert (pin.value, pin.issuer) == ("P1", "=")


@pytest.mark.parametrize("host", ["evil.test", OWN_NAME])
async def test_a_link_from_elsewhere_leads_in_and_a_frame_does_not(
    box, context, study, stranger, host
):
    to = f"{base_of(box)}/dicom-web/studies"
    stranger.html = f'<a id="link" href="{to}">x</a><iframe src="{to}"></iframe>'
    page = await context.new_page()
    await page.goto(stranger.url(host))
    (frame,) = page.frames[1:]
    assert study.study_uid not in await frame.content()
    async with page.expect_response(
        lambda answer: answer.url == to and answer.frame == page.main_frame
    ) as followed:
        await page.click("#link", no_wait_after=True)
    # With SameSite=Strict, the first step from elsewhere is taken without the session.
    assert (await followed.value).status in (200, 401)


async def test_a_page_that_has_its_name_lead_to_the_box_is_not_answered(box, context, study):
    """DNS rebinding: the page came from evil.test, which then leads here; the port is the box's."""
    await rebind(context, f"https://evil.test:{box.http_port}", study, logs_in=True)


@pytest.mark.parametrize("host", ["evil.test", "edge.test.evil.test", "localhost.evil.test"])
async def test_nor_is_it_where_nobody_is_asked_for_a_token(start, visit, host):
    box = await start(tls="off", auth="none")
    ref = await store(box)
    context = await visit()
    await rebind(context, f"http://{host}:{box.http_port}", ref, logs_in=False)
    await intact(box, ref)
    page = await context.new_page()
    answer = await page.goto(f"http://{OWN_NAME}:{box.http_port}/dicom-web/studies")
    assert answer.status == 200
    assert ref.study_uid in await answer.text()


async def rebind(context, origin, ref, *, logs_in):
    page = await context.new_page()
    await page.route(
        f"{origin}/attack",
        lambda route: route.fulfill(content_type="text/html", body="<p>evil</p>"),
    )
    await page.goto(f"{origin}/attack")
    calls = [
        ["GET", "/dicom-web/studies", None],
        ["GET", "/api/v1/status", None],
        ["DELETE", f"/dicom-web/studies/{ref.study_uid}", None],
        ["POST", "/api/v1/tokens", json.dumps({"role": "admin", "name": "evil", "days": 1})],
        ["POST", "/login", json.dumps({"name": "keeper", "password": "seven quiet lamps"})],
    ]
    for method, path, body in calls:
        status, text = await page.evaluate(
            """async ([method, path, body]) => {
                const headers = {"Content-Type": "application/json"};
                const answer = await fetch(path, {method, body, headers});
                return [answer.status, await answer.text()];
            }""",
            [method, path, body],
        )
        # Without a proof, a search is refused for that; whoever brings one is told of the name.
        assert status == 421 or (logs_in and method == "GET" and status == 401), (method, path)
        assert ref.study_uid not in text
