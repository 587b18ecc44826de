"""The box behind the page on its screen: a real one, with its service and without."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edge import config
from edge.access import totp
from edge.access.audit.recorder import Audit
from edge.access.factors import Factors
from edge.access.roles import Role
from edge.app import Appliance
from edge.cache import own_settings
from edge.cache.condition import Level
from edge.cache.network import Look
from edge.cache.own_settings import prove, said_in
from edge.console import box as box_module
from edge.console.box import LocalBox
from edge.console.silence import BUSY, Silence
from edge.console.view import CodeWrong, SecondFactorNeeded
from edge.errors import AccessDenied, EdgeError, Needs, StorageFull, TooManyAttempts
from edge.index import identities
from edge.index import users as table
from edge.index.identities import IdentityRow
from edge.loading import layered
from edge.locked import root_secret
from edge.machine.carrying import Carrier
from edge.machine.networks import read_network
from edge.machine.sticks import Use, tell_of_stick
from edge.machine.wishes import Network, NetworkSettings, Restart
from edge.opening import Cache
from edge.pages.state import CUT_OFF
from tests.machine.machines import machine_in, served
from tests.witnesses import recorded

PASSWORD = "correct horse battery staple"
FIXED = NetworkSettings(address=("192.168.1.10/24",))


@pytest.fixture
def loaded(tmp_path):
    return config.Config(
        appliance=config.Appliance(name="radiology", data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0"),
    )


@pytest.fixture
def machine(tmp_path):
    return machine_in(tmp_path / "machine")


@pytest.fixture
def box(loaded, machine):
    return LocalBox(lambda: loaded, None, machine.places)


@pytest.fixture
async def service(loaded):
    async with Appliance(loaded) as running:
        yield running


async def admin(service, name="anna", *, secret=None):
    users = service.cache.users
    await users.redeem((await users.first_code()).code, PASSWORD, name=name)
    if secret is not None:
        database = service.cache.database
        await database.write(lambda db: table.set_fields(db, name, totp_new=secret))
        await database.write(lambda db: table.put_totp(db, name, secret, 0))


async def entries(loaded, *events):
    async with Cache(loaded) as cache:
        return [one for one in await asyncio.to_thread(recorded, cache) if one.event in events]


async def test_a_new_box_shows_its_code_and_the_same_one_again(service, box):
    view = await box.look()
    assert view.sentence.startswith("This box is new: open its web page in a browser here")
    assert view.level == "busy"
    assert view.address == "https://127.0.0.1:0/welcome"
    assert len(view.fingerprint) == 95
    assert view.has_machine
    assert not view.needs_login
    assert (await box.look()).code == view.code
    user = await service.cache.users.redeem(view.code.text, PASSWORD, name="anna")
    assert user.role is Role.ADMIN
    later = await box.look()
    assert later.code is None
    assert later.needs_login
    assert later.address == "https://127.0.0.1:0/"


async def test_a_new_box_shows_what_is_wrong_beside_what_to_do(loaded, machine):
    archive = config.Archive(name="cloud", url="http://127.0.0.1:9/dicom-web")
    loaded = replace(loaded, cloud=config.Cloud(archive=(archive,)))
    box = LocalBox(lambda: loaded, None, machine.places)
    async with Appliance(loaded), asyncio.timeout(30):
        while True:
            view = await box.look()
            if view.level is Level.WARNING:
                break
            await asyncio.sleep(0.05)
    assert view.sentence.startswith("This box is new: open its web page")
    [worry] = view.troubles
    assert worry.startswith("The archive cloud does not answer since ")


async def test_a_renamed_box_shows_what_is_shown_at_its_former_name_too(loaded, machine):
    loaded = replace(loaded, http=config.Http(listen="0.0.0.0:0"))
    box = LocalBox(lambda: loaded, None, machine.places)
    async with Appliance(loaded) as service:
        await admin(service)
        before = await box.look()
    assert before.former is None
    loaded = replace(loaded, appliance=replace(loaded.appliance, name="st-brigid"))
    async with Appliance(loaded):
        view = await box.look()
    assert view.fingerprint != before.fingerprint
    assert (view.former.fingerprint, view.former.host) == (before.fingerprint, "radiology.local")
    assert view.former.until > time.time()


async def test_a_stick_is_spoken_of_as_long_as_it_is_in(service, box, machine):
    folder = machine.places.sticks / "sda1"
    folder.mkdir(parents=True)
    tell = partial(tell_of_stick, machine.places, Path("/run/edge-media/sda1"), Use.SETUP)
    await asyncio.to_thread(tell, "has set this box up")
    assert (await box.look()).sticks == ("has set this box up; you may take it out",)
    shutil.rmtree(folder)
    assert (await box.look()).sticks == ()


async def test_a_code_that_was_handed_out_elsewhere_stays_worth_something(service, box):
    handed = await service.cache.users.first_code()
    view = await box.look()
    assert (view.code.text, view.code.until) == ("", handed.until)
    assert view.sentence.endswith("type the code you were given.")
    another = await box.new_code()
    assert (await box.look()).code == another
    with pytest.raises(AccessDenied):
        await service.cache.users.redeem(handed.code, PASSWORD, name="anna")
    await service.cache.users.redeem(another.text, PASSWORD, name="anna")
    with pytest.raises(EdgeError, match="admin"):
        await box.new_code()


async def test_the_code_is_still_shown_once_the_service_has_begun_anew(loaded, box):
    """As it does with the settings of a set-up file; until then nobody says that the box is new."""
    async with Appliance(loaded):
        code = (await box.look()).code
        assert code.text
    assert (await box.look()).code is None
    async with Appliance(loaded) as service:
        assert (await box.look()).code == code
        await service.cache.users.redeem(code.text, PASSWORD, name="anna")


async def test_a_code_whose_words_are_lost_is_replaced(loaded, box, machine):
    """The screen and the service have begun anew; it was for the screen, and nobody has it."""
    async with Appliance(loaded):
        before = (await box.look()).code
    box = LocalBox(lambda: loaded, None, machine.places)
    async with Appliance(loaded) as service:
        view = await box.look()
        assert view.code.text not in ("", before.text)
        assert view.sentence.endswith("type the set-up code.")
        with pytest.raises(AccessDenied):
            await service.cache.users.redeem(before.text, PASSWORD, name="anna")
        await service.cache.users.redeem(view.code.text, PASSWORD, name="anna")


async def test_each_of_two_screens_shows_the_same_code(service, box, loaded, machine):
    serial = LocalBox(lambda: loaded, None, machine.places)
    code = (await box.look()).code
    for _ in range(2):
        assert (await serial.look()).code == (await box.look()).code == code
    another = await serial.new_code()
    assert another != code
    for _ in range(2):
        assert (await box.look()).code == (await serial.look()).code == another


async def test_a_code_that_came_in_a_file_is_not_replaced(loaded, box, machine):
    async with Appliance(loaded) as service:
        await box.look()
        token = (await service.cache.users.first_code("7K2M-Q0XE-41TR-ZB9D")).code
        assert (await box.look()).code.text == ""
    box = LocalBox(lambda: loaded, None, machine.places)
    async with Appliance(loaded) as service:
        assert (await box.look()).code.text == ""
        with pytest.raises(EdgeError, match="handed out elsewhere"):
            await box._new_code(loaded, 20.0, "shown-code")
        await service.cache.users.redeem(token, PASSWORD, name="anna")


async def test_a_box_whose_people_come_by_an_identity_provider_is_not_new(service, box):
    row = IdentityRow("idp", "s1", "oidc:anna", "Anna", "admin", "active", 100.0, None)
    await service.cache.database.write(lambda db: identities.put(db, row, "oidc:spare"))
    view = await box.look()
    assert view.code is None
    assert view.needs_login
    assert view.address == "https://127.0.0.1:0/"
    assert await service.cache.users.first_code_until() is None
    with pytest.raises(EdgeError, match="for admins"):
        await box.wish(Network(FIXED), None)
    with pytest.raises(EdgeError, match="somebody already"):
        await box.new_code()
    # Whoever is on the machine may have one all the same, by a command.
    assert (await service.cache.users.first_code()).code


async def test_without_room_for_a_code_the_rest_is_shown(service, box, monkeypatch):
    async def full(*_):
        raise StorageFull("the disk is full")

    monkeypatch.setattr(box, "_new_code", full)
    view = await box.look()
    assert view.sentence == "Nothing is here yet. It lacks a cloud archive and a recovery key."
    assert view.code is None


async def test_who_asked_for_a_code_waits_for_a_box_that_is_slow(service, box, monkeypatch):
    handed = await service.cache.users.first_code()
    await box.look()
    monkeypatch.setattr(box_module, "_ANSWER", 0.0)
    another = await box.new_code()
    assert another.text not in ("", handed.code)
    assert (await box.look()).code == another


async def test_a_code_that_nearly_ends_is_replaced(service, box, monkeypatch):
    first = (await box.look()).code
    monkeypatch.setattr(box_module, "_SOON", 1e9)
    assert (await box.look()).code != first


async def test_who_only_looks_loads_neither_keys_nor_index():
    script = "import sys, edge.console.page, edge.console.box; print(*sys.modules)"
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=-1)
    said, _ = await done.communicate()
    loaded = set(said.decode().split())
    assert "textual.app" in loaded
    assert not loaded & {"sqlcipher3", "aiosqlite", "pydicom", "aiohttp", "edge.opening"}


async def test_why_a_file_on_the_boot_partition_was_not_taken_is_shown(service, box, machine):
    assert not (await box.look()).troubles
    await asyncio.to_thread(
        machine.places.setup_answer.write_text, f"Nothing was changed: no network.\n{'x' * 999}"
    )
    [trouble] = (await box.look()).troubles
    assert trouble.startswith("Nothing was changed: no network. x")
    assert len(trouble) == 400
    await admin(service)
    shown = (await box.look()).troubles
    assert not [one for one in shown if "Nothing was changed" in one]


async def test_without_a_service_that_is_what_there_is_to_show(loaded, box):
    async with Appliance(loaded):
        pass
    view = await box.look()
    assert view.sentence == "The service is not running: nothing comes in. r restarts the box."
    assert view.level is Level.ALARM
    assert view.needs_login
    assert view.code is None


async def test_a_locked_box_says_so_and_is_opened_by_its_passphrase(loaded, machine):
    closed = replace(loaded, keys=config.Keys(provider="passphrase", grace_hours=0.0))
    box = LocalBox(lambda: closed, None, machine.places)
    for needs in (Needs.NEW_PASSPHRASE, Needs.PASSPHRASE):
        start = asyncio.create_task(root_secret(closed))
        async with asyncio.timeout(60):
            while (view := await box.look()).needs is None:  # noqa: ASYNC110 - it is starting
                await asyncio.sleep(0.01)
        assert view.needs is needs
        assert view.sentence.startswith("The box is locked: ")
        assert len(view.fingerprint) == 95  # its page is there to be opened, too
        assert view.level is Level.ALARM
        with pytest.raises(EdgeError):
            await box.unlock("short" if needs is Needs.NEW_PASSPHRASE else "wrong", needs)
        await box.unlock("seven herons over a wet field", needs)
        assert await start


async def test_an_admin_logs_in_with_a_second_factor(service, box, loaded):
    secret = totp.new_secret()
    await admin(service, secret=secret)
    with pytest.raises(SecondFactorNeeded):
        await box.log_in("anna", PASSWORD, "")
    with pytest.raises(CodeWrong, match="the code is not right"):
        await box.log_in("anna", PASSWORD, "000000")
    person = await box.log_in("Anna", PASSWORD, code_of(secret))
    assert person.name == "anna"
    [session] = await service.cache.sessions.list("anna")
    assert session.agent == "the screen of the box"
    await box.log_out(person)
    assert await service.cache.sessions.list("anna") == ()


def code_of(secret):
    return totp.code_of(secret, int(time.time() // 30))


async def test_who_has_no_second_factor_sets_one_up_on_the_page_first(service, box):
    await admin(service)
    with pytest.raises(AccessDenied, match="second factor is needed"):
        await box.log_in("anna", PASSWORD, "")
    assert await service.cache.sessions.list("anna") == ()


async def test_who_has_only_a_passkey_is_told_that_it_can_not_be_used_here(
    service, box, monkeypatch
):
    await admin(service)
    monkeypatch.setattr(Factors, "beside_password", staticmethod(lambda _: ("passkey",)))
    with pytest.raises(AccessDenied, match="a passkey can't be used at this screen"):
        await box.log_in("anna", PASSWORD, "")
    with pytest.raises(AccessDenied, match="name or password is not right"):
        await box.log_in("anna", "wrong", "")


async def test_who_is_no_admin_is_not_let_in(service, box):
    await admin(service)
    users = service.cache.users
    await users.redeem((await users.add("ben", Role.VIEWER)).code, PASSWORD)
    with pytest.raises(AccessDenied, match="no admin"):
        await box.log_in("ben", PASSWORD, "")
    assert await service.cache.sessions.list("ben") == ()


async def test_guesses_at_the_screen_are_slowed_down(service, box):
    await admin(service)
    for guess in range(6):
        with pytest.raises(AccessDenied, match="not right"):
            await box.log_in("anna", f"guess {guess}", "")
    with pytest.raises(TooManyAttempts):
        await box.log_in("anna", PASSWORD, "")


async def test_settings_are_for_admins_once_there_are_any(service, box, machine):
    carrier = Carrier(machine.places, machine.tools)
    async with asyncio.TaskGroup() as group:
        group.create_task(served(carrier))
        await box.wish(Network(FIXED), None)
    assert (await asyncio.to_thread(read_network, machine.places)).tried == FIXED
    await admin(service)
    with pytest.raises(EdgeError, match="for admins"):
        await box.wish(Network(FIXED), None)
    async with asyncio.TaskGroup() as group:
        group.create_task(served(carrier))
        await box.wish(Restart(), None)
    assert machine.called[-1] == "systemctl --no-block reboot"


async def test_a_log_in_that_was_ended_elsewhere_changes_nothing_more(service, box):
    secret = totp.new_secret()
    await admin(service, secret=secret)
    person = await box.log_in("anna", PASSWORD, code_of(secret))
    await service.cache.sessions.end_all("anna")
    with pytest.raises(AccessDenied, match="has ended"):
        await box.wish(Network(FIXED), person)


async def test_what_is_done_at_the_screen_is_in_the_record(service, box, loaded, machine):
    secret = totp.new_secret()
    await admin(service, secret=secret)
    with pytest.raises(AccessDenied):
        await box.log_in("anna", "wrong", "")
    person = await box.log_in("anna", PASSWORD, code_of(secret))
    async with asyncio.TaskGroup() as group:
        group.create_task(served(Carrier(machine.places, machine.tools)))
        await box.wish(Network(FIXED), person)
    refused, came = await entries(loaded, "log-in")
    assert (refused.actor.name, refused.outcome) == ("anna", 4)
    assert came.actor.proof == "password and totp, at the screen"
    [done] = await entries(loaded, "administered")
    assert (done.what, done.actor.name) == ("console: machine: Network", "anna")


@pytest.fixture
def two_ports(machine):
    """Of a machine from the disk image."""
    places = machine.places
    for name in ("enp1s0", "enp2s0"):
        (places.ports / name / "device").mkdir(parents=True)
        (places.ports / name / "type").write_text("1\n")
    places.firewall.parent.mkdir(parents=True)
    places.firewall.touch()


def in_force_now(folder):
    """As once the service has begun anew."""
    assert prove(folder, said_in(folder))


@pytest.fixture
def changing(loaded, machine, two_ports):
    """A box that reads what is written."""
    own = loaded.appliance.data_dir / "settings.toml"

    def now():
        _, written = layered(None, {}, own=own.read_text() if own.exists() else "")
        return replace(loaded, http=replace(loaded.http, interface=written.http.interface))

    return LocalBox(now, None, machine.places)


async def test_the_page_is_kept_to_one_port_and_given_back_to_each(loaded, changing):
    box = changing
    async with Appliance(loaded) as service:
        view = await box.look()
        assert [one.name for one in view.page_ports] == ["enp1s0", "enp2s0"]
        assert not view.page_waits
        await box.keep_page("enp2s0", None)
        await asyncio.wait_for(service.applying.asked.wait(), 30)
        assert (await box.look()).page_by == "enp2s0"
        await asyncio.to_thread(in_force_now, loaded.appliance.data_dir)
        service.applying.asked.clear()
        await box.keep_page("enp2s0", None)  # so already: nothing is done, or told
        secret = totp.new_secret()
        await admin(service, secret=secret)
        with pytest.raises(EdgeError, match="for admins"):
            await box.keep_page("", None)
        person = await box.log_in("anna", PASSWORD, code_of(secret))
        await box.keep_page("", person)
        assert (await box.look()).page_by == ""
    first, second = await entries(loaded, "administered")
    assert (first.what, first.actor.name) == ("console: settings", "console")
    assert first.detail == {"http.interface before": '""', "http.interface after": '"enp2s0"'}
    assert (second.actor.name, second.detail["http.interface after"]) == ("anna", '""')


async def test_a_choice_that_the_service_does_not_answer_can_be_made_again(
    loaded, changing, monkeypatch
):
    async with Appliance(loaded):
        pass
    monkeypatch.setattr(box_module, "_STATE", 0.2)
    monkeypatch.setattr(box_module, "_ASKED", 0.2)
    async with answering(loaded, None):
        with pytest.raises(EdgeError, match=r"is written.*does not answer") as caught:
            await changing.keep_page("enp2s0", None)
        assert "choose the same again" in caught.value.hint
        view = await changing.look()
        assert (view.page_by, view.page_waits) == ("enp2s0", True)
    with pytest.raises(EdgeError, match=r"is written.*is not running"):
        await changing.keep_page("enp2s0", None)
    monkeypatch.setattr(box_module, "_ASKED", 20.0)
    monkeypatch.setattr(box_module, "_ANSWER", 0.0)  # of who only looks
    async with Appliance(loaded) as service:
        await changing.keep_page("enp2s0", None)
        await asyncio.wait_for(service.applying.asked.wait(), 30)
    [done] = await entries(loaded, "administered")
    assert done.detail["http.interface after"] == '"enp2s0"'


async def test_a_choice_that_can_not_be_written_is_told_as_such(loaded, changing, monkeypatch):
    async with Appliance(loaded):
        pass

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(own_settings, "write_file", full)
    with pytest.raises(StorageFull, match="No space left"):
        await changing.keep_page("enp2s0", None)
    [failed] = await entries(loaded, "administered")
    assert (failed.outcome, failed.detail["http.interface after"]) == (8, '"enp2s0"')
    assert "No space left" in failed.reason


async def test_a_choice_that_can_not_be_told_is_undone(loaded, changing, monkeypatch):
    async with Appliance(loaded):
        pass

    async def full(*_):
        raise StorageFull("the audit is full")

    monkeypatch.setattr(Audit, "record", full)
    with pytest.raises(StorageFull, match="the audit"):
        await changing.keep_page("enp2s0", None)
    view = await changing.look()
    assert (view.page_by, view.page_waits) == ("", False)


async def test_what_the_machine_s_file_says_of_that_port_is_said_there(
    service, loaded, machine, tmp_path
):
    file = tmp_path / "edge.toml"
    folder = loaded.appliance.data_dir
    file.write_text(f'[appliance]\ndata_dir = "{folder}"\n[http]\ninterface = "enp1s0"\n')
    box = LocalBox(lambda: loaded, file, machine.places)
    with pytest.raises(EdgeError, match="fixed by"):
        await box.keep_page("", None)
    assert not service.applying.asked.is_set()
    assert await entries(loaded, "administered") == []


@contextlib.asynccontextmanager
async def answering(loaded, answer, *, parts=b"{}"):
    """A service that says this of itself, and of its parts; None: nothing at all."""
    folder = loaded.appliance.data_dir
    folder.mkdir(exist_ok=True)

    async def answered(reader, writer):
        with contextlib.closing(writer):
            asked = await reader.readuntil(b"\r\n\r\n")
            said = parts if b"/acts/" not in asked else answer
            if said is None:
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
            await writer.drain()

    async with await asyncio.start_unix_server(answered, folder / "service.sock"):
        yield


SAID = (
    b'{"sentence": "x", "level": "safe", "has_people": false, "code_until": 1e300, "worries": []}'
)
FINE = SAID.replace(b"1e300", b"1e9")


@pytest.mark.parametrize(
    "answer",
    [
        *(b"<html>", b"[]", b"{}", SAID, b'{"level": []}'),
        *(FINE.replace(b"safe", b"purple"), FINE.replace(b"[]", b"[7]")),
    ],
)
async def test_what_a_service_says_oddly_is_trouble(loaded, box, answer):
    async with answering(loaded, answer):
        view = await box.look()
    assert view.sentence.startswith("The service does not answer")
    assert view.level is Level.ALARM


async def test_of_many_worries_there_is_room_for_some(loaded, box):
    many = FINE.replace(b"[]", b'["one", "two", "three", "four"]')
    async with answering(loaded, many):
        view = await box.look()
    assert view.troubles == ("one", "two", "and 2 more: see the web page")


async def test_a_service_that_hangs_is_looked_at_for_seconds_at_the_most(loaded, box, monkeypatch):
    monkeypatch.setattr(box_module, "_STATE", 0.2)
    async with answering(loaded, None):
        view = await asyncio.wait_for(box.look(), 20)
    assert view.sentence == BUSY
    assert view.level is Level.BUSY


async def test_a_service_that_answers_late_is_shown_as_it_was_and_no_restart_is_advised(
    loaded, box, monkeypatch
):
    monkeypatch.setattr(box_module, "_STATE", 0.2)
    now = [0.0]
    monkeypatch.setattr(box, "_silence", Silence("The service", lambda: now[0]))
    until = time.time() + 86_400
    async with answering(loaded, FINE.replace(b"1e9", str(until).encode())):
        before = await box.look()
    assert before.code is not None
    async with answering(loaded, None):
        assert await box.look() == before
        now[0] = 31.0
        assert await box.look() == before
        view = await box.look()
        assert (view.level, view.code) == (Level.BUSY, before.code)
        now[0] = 300.0
        assert "restart" not in (await box.look()).sentence
    async with answering(loaded, FINE.replace(b"1e9", str(until).encode())):
        assert await box.look() == before


async def test_only_after_minutes_of_silence_is_a_restart_advised(loaded, box, monkeypatch):
    monkeypatch.setattr(box_module, "_STATE", 0.2)
    monkeypatch.setattr(box_module, "_ANSWER", 0.2)
    now = [0.0]
    monkeypatch.setattr(box, "_silence", Silence("The service", lambda: now[0]))
    async with answering(loaded, None, parts=None):
        for _ in range(3):
            assert (await box.look()).sentence == BUSY
        now[0] = 200.0
        view = await box.look()
    assert view.sentence.startswith("The service has not answered for 3 minutes.")
    assert view.level is Level.ALARM


@pytest.mark.usefixtures("two_ports")
async def test_a_box_whose_cable_is_out_does_not_say_that_all_is_well(
    service, box, machine, monkeypatch
):
    no_address = [Look("address", False, "none")]
    monkeypatch.setattr(box_module, "look", lambda: no_address)
    assert (await box.look()).sentence == CUT_OFF
    await admin(service)
    view = await box.look()
    assert (view.sentence, view.level) == (CUT_OFF, Level.ALARM)
    (machine.places.ports / "enp1s0" / "carrier").write_text("1\n")  # a neighbour may reach it
    assert (await box.look()).sentence != CUT_OFF
