"""Settings in a real browser: tried as they are typed, and in force by themselves."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from playwright.async_api import expect

from edge.crypto.secrets import seal_secret
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.fakes.orthanc import Orthanc, missing
from tests.fakes.proxy import Proxy
from tests.fakes.tls import tls_before
from tests.journeys.service import Installation

UNASKED = ("409", "503", "ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE", "ERR_SOCKET")
"""The box begins anew in between, or was not done yet, and a browser says so in its console."""


TWO_ARCHIVES = """
[[cloud.archive]]
name = "mirror"
url = "http://127.0.0.1:9/dicom-web"
role = "copy"

[[cloud.archive]]
name = "cloud"
url = "https://healthcare.invalid/v1/dicomWeb"
kind = "google"
auth = { kind = "google", key_file = "KEY_FILE" }
"""


@pytest.fixture
def own():
    """What the box's own file says at first."""
    return ""


@pytest.fixture
async def box(tmp_path, own):
    """A box in a process of its own, whose address stays the same when it begins anew."""
    key_file = tmp_path / "key.json"
    key_file.write_text("{}")
    people = "[access]\nadmins_need_second_factor = false\n"
    own = own.replace("KEY_FILE", str(key_file))
    made = Installation.as_new(tmp_path, more=people, own=own, says_dimse=True)
    await made.start()
    yield made
    made.kill()


@pytest.fixture
async def page(box, visit):
    """An admin's."""
    base = f"http://localhost:{box.http_port}"
    complaints = Complaints(base, excused=UNASKED)
    context = await visit(locale="en")
    context.set_default_timeout(PATIENCE * 1000)
    asked = {"code": await box.first_code(), "name": "grace", "password": "seven quiet lamps"}
    answer = await context.request.post(f"{base}/login/redeem", data=asked)
    assert answer.ok, await answer.text()
    shown = await context.new_page()
    complaints.watch(shown)
    await shown.goto(f"{base}/settings")
    await settled(shown)
    yield shown
    assert complaints.found == []


async def test_settings_are_tried_as_they_are_typed_and_come_into_force(box, page):
    zone, sweep = (page.locator(f"[id='{key}']") for key in ("appliance.time_zone", "dimse.listen"))
    wrong = page.locator("[id='appliance.time_zone-problem']")
    apply = page.get_by_role("button", name="Apply…")

    # What the file of the machine says is told, with its line.
    await expect(sweep).to_be_disabled()
    await expect(page.get_by_text("edge.toml:6")).to_be_visible()

    # What can't be is told where it is typed, and led to from the foot of the page.
    await zone.fill("Atlantis")
    await expect(wrong).to_contain_text("The box knows no time zone “Atlantis”.")
    await zone.fill("Dublin")
    await expect(wrong).to_contain_text("Did you mean")
    await expect(wrong).to_contain_text("Europe/Dublin")
    await expect(apply).to_be_disabled()
    await page.get_by_role("link", name="Look at “Time zone”").click()
    await expect(zone).to_be_focused()
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""

    # What can be is looked through, applied, and in force without another look at the page.
    await zone.fill("Europe/Madrid")
    await expect(wrong).to_be_hidden()
    await apply.click()
    await expect(page.get_by_text("becomes Europe/Madrid.")).to_be_visible()
    began = time.monotonic()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()
    print(f"in force after {time.monotonic() - began:.1f} s")
    await expect(zone).to_have_value("Europe/Madrid")
    await expect(apply).to_be_hidden()
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert 'time_zone = "Europe/Madrid"' in written


async def test_what_somebody_else_changed_meanwhile_is_in_force_as_well(box, page):
    """Nothing begins anew for it, so there is nothing to wait for."""
    written = '[appliance]\ntime_zone = "Europe/Madrid"\n'
    await asyncio.to_thread((box.data / "settings.toml").write_text, written)
    await page.locator("[id='appliance.time_zone']").fill("Europe/Madrid")
    await page.get_by_role("button", name="Apply…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()


async def test_who_applies_while_others_come_into_force_waits_for_those(box, page):
    former = box.data / "settings.toml.former"
    await asyncio.to_thread(former.touch)  # as it is until the service has proven the last change
    await page.locator("[id='appliance.time_zone']").fill("Europe/Madrid")
    await page.get_by_role("button", name="Apply…").click()
    async with page.expect_response(lambda answer: answer.status == 409):
        await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await asyncio.to_thread(former.unlink)
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert 'time_zone = "Europe/Madrid"' in written


async def test_who_applies_while_others_never_come_into_force_is_told_so(box, page):
    await page.clock.install()
    await page.reload()
    await settled(page)
    await asyncio.to_thread((box.data / "settings.toml.former").touch)
    await page.locator("[id='appliance.time_zone']").fill("Europe/Madrid")
    await page.clock.run_for(1000)
    await page.get_by_role("button", name="Apply…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Apply").click()
    problem = dialog.locator(".problem")
    ends = time.monotonic() + PATIENCE
    while not await problem.is_visible() and time.monotonic() < ends:
        await page.clock.run_for(5000)
    await expect(problem).to_contain_text("are not in force yet")


@pytest.mark.parametrize("own", [TWO_ARCHIVES])
async def test_an_archive_to_which_the_box_proves_itself_by_a_file_keeps_that(box, page):
    card = page.get_by_role("region", name="Cloud archives")
    # The primary one comes first, wherever it stands.
    await expect(card.get_by_role("listitem").first).to_contain_text("healthcare.invalid")
    await page.get_by_role("button", name="Change cloud").click()
    dialog = page.get_by_role("dialog")
    way = dialog.get_by_label("What proves who we are")
    await expect(way).to_have_value("google")
    await expect(way.locator("option:checked")).to_have_text("As on the machine")
    await dialog.get_by_role("button", name="Use it").click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Apply…")).to_be_hidden()

    # Nobody can say a file anew here: it is told why, and what to do.
    await page.get_by_role("button", name="Change cloud").click()
    await dialog.get_by_text("More: an authority").click()
    await dialog.locator("[name=authority]").fill(trustme.CA().cert_pem.bytes().decode())
    await dialog.get_by_role("button", name="Use it").click()
    await expect(dialog.locator("#wrong-way")).to_contain_text("knows the box by a file")
    await expect(dialog.locator("#wrong-way")).to_contain_text("edge config set cloud.archive")
    await expect(way).to_be_focused()
    assert await violations(page) == []


async def test_a_file_of_an_authority_is_read_as_windows_writes_it_or_said_to_be_unreadable(page):
    pem = trustme.CA(organization_name="St. Brigid IT").cert_pem.bytes().decode()
    await page.get_by_role("button", name="Add an archive").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("More: an authority").click()
    file, text = dialog.locator("[type=file]"), dialog.locator("[name=authority]")
    listed = dialog.get_by_role("list", name="Authorities that are trusted for it")
    wrong = dialog.locator("#wrong-authority")
    for code in ("utf-16", "utf-16-be", "utf-8-sig"):
        mark = "\ufeff" if code == "utf-16-be" else ""
        data = (mark + pem.replace("\n", "\r\n")).encode(code)
        await text.fill("")
        await file.set_input_files({"name": "a.pem", "mimeType": "", "buffer": data})
        await expect(listed).to_contain_text("St. Brigid IT")
        await dialog.get_by_role("button", name="Trust it no more").click()
        await expect(listed).to_be_hidden()

    # Somebody pulled the stick out.
    await page.evaluate(
        "() => { File.prototype.arrayBuffer = () => Promise.reject(new Error('gone')); }"
    )
    await file.set_input_files({"name": "a.pem", "mimeType": "", "buffer": pem.encode()})
    await expect(wrong).to_contain_text("Is it still where it was?")
    assert await violations(page) == []


async def test_an_authority_that_came_with_the_set_up_is_seen(page):
    async def with_one(route):
        answer = await route.fetch()
        told = await answer.json() | {
            "trusted": [{"subject": "St. Brigid IT", "until": 2e9, "digest": "ab"}]
        }
        await route.fulfill(response=answer, json=told)

    card = page.get_by_role("region", name="Authorities of the clinic")
    await expect(card).to_have_count(0)
    # No test may write where the machine keeps its own.
    await page.route("**/api/v1/settings", with_one)
    await page.reload()
    await settled(page)
    await expect(card.get_by_role("listitem")).to_contain_text("St. Brigid IT")
    await expect(card.get_by_role("listitem")).to_contain_text("2033")
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""


async def test_the_port_of_the_page_is_chosen_where_there_are_several(page):
    ports = [
        {"name": name, "mac": "52:54:00:12:34:56", "has_cable": True, "is_yours": name == "enp1s0"}
        for name in ("enp1s0", "enp2s0")
    ]
    asked = []

    async def with_ports(route):
        answer = await route.fetch()
        await route.fulfill(response=answer, json=await answer.json() | {"page_ports": ports})

    async def would_keep_out(route):
        asked.append(route.request.post_data_json["changes"])
        problem = {"key": "http.interface", "message": "no", "hint": "", "near": ["enp1s0"]}
        is_wrong = asked[-1]["http.interface"] == "enp2s0"
        told = {"problem": problem if is_wrong else None, "changes": []}
        await route.fulfill(json=told)

    port = page.get_by_label("The page is reached by")
    await expect(port).to_have_count(0)  # a machine of somebody's own
    await page.route("**/api/v1/settings", with_ports)
    await page.route("**/api/v1/settings/check", would_keep_out)
    await page.reload()
    await settled(page)
    said = await port.locator("option").all_text_contents()
    assert said == ["every network port", "enp1s0, by which you came", "enp2s0"]
    await port.select_option("enp2s0")
    wrong = page.locator("[id='http.interface-problem']")
    await expect(wrong).to_contain_text("You came by enp1s0")
    await expect(wrong).to_contain_text("Open this page by enp2s0")
    await port.select_option("enp1s0")
    await expect(wrong).to_be_hidden()
    await page.get_by_role("button", name="Apply…").click()
    told = "The page is reached by: every network port becomes enp1s0, by which you came."
    await expect(page.get_by_role("dialog")).to_contain_text(told)
    assert asked == [{"http.interface": "enp2s0"}, {"http.interface": "enp1s0"}]
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""


@pytest.mark.parametrize("own", [TWO_ARCHIVES])
async def test_a_box_is_set_up_with_its_primary_archive(box, page):
    await page.goto(f"http://localhost:{box.http_port}/setup#cloud")
    address = page.locator("#cloud-fields [name='url']")
    await expect(address).to_have_value("https://healthcare.invalid/v1/dicomWeb")


@dataclass
class Private:
    """An Orthanc behind TLS, whose certificate comes from an authority that nobody else knows."""

    orthanc: Orthanc
    url: str
    file: Path
    """The authority's certificate, in DER, as Windows gives it."""
    pem: str
    leaf: str


@pytest.fixture
async def private(tmp_path):
    if missing():
        pytest.skip(missing())
    authority = trustme.CA(organization_name="St. Brigid IT")
    own, pem = authority.issue_cert("127.0.0.1"), authority.cert_pem.bytes().decode()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.configure_cert(context)
    (tmp_path / "clinic.cer").write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    orthanc = await Orthanc(tmp_path / "archive").started()
    try:
        async with tls_before(orthanc.http_port, context) as port:
            yield Private(
                orthanc,
                f"https://127.0.0.1:{port}/dicom-web",
                tmp_path / "clinic.cer",
                pem,
                own.cert_chain_pems[0].bytes().decode(),
            )
    finally:
        await orthanc.stopped()


async def name_it(fields, private):
    """What is needed to reach it, but for what stands under More."""
    await fields.locator("[name=url]").fill(private.url)
    await fields.locator("[name=kind]").select_option("orthanc")
    user, password = private.orthanc.auth
    await fields.locator("[name=user]").fill(user)
    await fields.locator("[name=password]").fill(password)


async def test_an_archive_of_an_authority_of_the_clinic_s_own_is_added(box, page, private):
    await page.get_by_role("button", name="Add an archive").click()
    dialog = page.get_by_role("dialog")
    await name_it(dialog, private)
    try_it, use_it = (dialog.get_by_role("button", name=name) for name in ("Test it", "Use it"))
    await try_it.click()
    await expect(dialog.locator(".walk")).to_contain_text("is not trusted")
    await expect(dialog.locator(".walk")).to_contain_text("at the archive under More")

    # What is none is said to be none, where it was given.
    await dialog.get_by_text("More: an authority").click()
    text, wrong = dialog.locator("[name=authority]"), dialog.locator("#wrong-authority")
    await text.fill(private.leaf)
    await text.blur()
    await expect(wrong).to_contain_text("no authority's certificate")
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""
    await use_it.click()
    await expect(text).to_be_focused()

    # Its file, as a PC has it: it is read, and used before anything is kept.
    await dialog.locator("[type=file]").set_input_files(private.file)
    listed = dialog.get_by_role("list", name="Authorities that are trusted for it")
    await expect(listed).to_contain_text("St. Brigid IT")
    await expect(listed).to_contain_text("until")
    await expect(wrong).to_have_count(0)
    assert await violations(page) == []
    await try_it.click()
    await expect(dialog.locator(".walk .verdict")).to_contain_text("there and back")
    assert "authority" not in await asyncio.to_thread((box.data / "settings.toml").read_text)
    await use_it.click()
    # Looked at once more before it is applied, it keeps the password that was typed.
    await page.get_by_role("button", name="Change cloud").click()
    await expect(dialog.get_by_text("Leave it empty, and it stays as it is.")).to_be_visible()
    await use_it.click()
    await expect(dialog).to_have_count(0)
    await apply_all(page)
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert private.pem.splitlines()[1] in written
    assert "password = " in written

    # It is seen afterwards, and can be taken away; the password is said again then.
    await page.get_by_role("button", name="Change cloud").click()
    await expect(listed).to_contain_text("St. Brigid IT")
    await use_it.click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Apply…")).to_be_hidden()
    await page.get_by_role("button", name="Change cloud").click()
    await dialog.get_by_role("button", name="Trust it no more").click()
    await expect(listed).to_be_hidden()
    await use_it.click()
    await expect(dialog.locator("#wrong-password")).to_contain_text("Must be said again")
    await dialog.locator("[name=password]").fill(private.orthanc.auth[1])
    await use_it.click()
    await apply_all(page)
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert "authority" not in written


async def apply_all(page):
    await page.get_by_role("button", name="Apply…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.").last).to_be_visible()
    await expect(page.get_by_role("button", name="Apply…")).to_be_hidden()


async def test_a_new_box_is_given_its_archive_s_authority_and_a_proxy(box, page, private):
    async with Proxy(("box", "a:secret")) as proxy:
        await page.goto(f"http://localhost:{box.http_port}/setup#cloud")
        fields, go_on = (
            page.locator("#cloud-fields"),
            page.get_by_role("button", name="Test it, and"),
        )
        await name_it(fields, private)
        await page.get_by_text("More: an authority").click()
        await fields.locator("[name=authority]").fill(private.pem)
        await fields.locator("[name=proxy]").fill("nowhere at all")
        await go_on.click()
        await expect(fields.locator("#wrong-proxy")).to_contain_text("is not a proxy")
        await expect(fields.locator("[name=proxy]")).to_be_focused()
        assert await violations(page) == []
        await fields.locator("[name=proxy]").fill(proxy.url.removeprefix("http://"))
        await expect(fields.locator("#wrong-proxy")).to_have_count(0)
        await fields.locator("[name=proxy_user]").fill("box")
        await fields.locator("[name=proxy_password]").fill("wrong")
        await go_on.click()
        await expect(page.locator("#cloud-steps")).to_contain_text("refuses these credentials")
        await fields.locator("[name=proxy_password]").fill("a:secret")
        await go_on.click()
        await expect(page.get_by_role("heading", name="The recovery key")).to_be_focused()
        assert {asked.split(" ")[0] for asked in proxy.asked} == {"CONNECT"}
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert "a:secret" not in written
    assert f'proxy = "{proxy.url}"' in written
    # Who comes back finds it, but for the secret.
    await page.goto(f"http://localhost:{box.http_port}/setup#cloud")
    await expect(fields.locator("[name=proxy]")).to_have_value(proxy.url)
    await expect(fields.locator("[name=proxy_password]")).to_have_value("")
    await expect(fields.get_by_text("St. Brigid IT")).to_be_visible()


LOST = f"""
[[cloud.archive]]
name = "cloud"
url = "http://127.0.0.1:9/dicom-web"
auth = {{ kind = "basic", user = "edge", password = "{seal_secret("hush", bytes(32))}" }}

[access.oidc]
issuer = "https://idp.invalid"
client_id = "edge"
client_secret = "{seal_secret("hush", bytes(32))}"
roles = {{ all = "viewer" }}

[update]
url = "http://127.0.0.1:9/updates/"
proxy = "http://127.0.0.1:9"
proxy_user = "edge"
proxy_password = "{seal_secret("hush", bytes(32))}"
"""
"""Settings that came from another box."""


@pytest.mark.parametrize("own", [LOST])
async def test_secrets_that_the_box_can_not_open_any_more_are_given_again_where_it_says(box, page):
    """The box did not start, and no page was there to mend that."""
    first = f"http://localhost:{box.http_port}/"
    await page.goto(first)
    told = [
        page.get_by_text(f"open its secret for the {whose} any more.")
        for whose in ("archive cloud", "identity provider", "way to the server of updates")
    ]
    for one in told:
        await expect(one).to_be_visible()
    await expect(page.get_by_text("cloud.archive.0.auth.password was sealed")).to_be_visible()
    await page.get_by_role("link", name="Settings").last.click()
    await settled(page)

    await page.get_by_role("button", name="Change cloud").click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("[name=password]").fill("a new password")
    await dialog.get_by_role("button", name="Use it").click()
    await expect(dialog).to_have_count(0)  # what is typed before is the dialog's
    secret = page.get_by_label("Secret of this box at the identity provider")
    await expect(secret).to_have_value("")
    await secret.fill("a new secret")
    await page.get_by_label("Password at the proxy on the way there").fill("a new one")
    assert await violations(page) == []
    await page.get_by_role("button", name="Apply…").click()
    said = page.get_by_text("Secret of this box at the identity provider: it is said anew.")
    await expect(said).to_be_visible()
    assert "a new secret" not in await page.inner_text("body")
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()

    await page.goto(first)
    await settled(page)
    await expect(page.get_by_text("The archive cloud does not answer since")).to_be_visible()
    for one in told:
        await expect(one).to_have_count(0)
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert "a new" not in written
    assert written.count("sealed:") == 3
