"""``edge provision``: a box is set up by a file, and the answer lies where the file was."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import threading
import time

import pytest
import trustme

from edge.__main__ import main
from edge.access.codes import digest_of
from edge.cache import replacing
from edge.cache.backup import Backups
from edge.cache.disk import DiskUnusable
from edge.cache.own_settings import prove, said_in, setback, take_back
from edge.crypto.escrow import Escrow
from edge.crypto.recovery import RecoveryKey
from edge.errors import AccessDenied, DecisionRefused, EdgeError
from edge.loading import load
from edge.machine.asking import NoAnswer
from edge.machine.booting import begin
from edge.machine.carrying import Carrier
from edge.machine.networks import Networks, read_network
from edge.machine.sticks import read_sticks
from edge.opening import Cache
from edge.provision.journal import HalfTaken, read_provisioned
from edge.provision.reach import NetworkAway
from tests.machine.machines import served
from tests.witnesses import recorded

TOKEN = "7K2M-Q0XE-41TR-ZB9D"
TEXT = f'[setup]\ntoken = "{TOKEN}"\n\n[appliance]\nname = "radiology"\n'
PASSWORD = "correct horse battery staple"


@pytest.fixture
def file(started):
    return started()


@pytest.fixture
def edge(machine, file):
    def edge(*words):
        last = ["--root", str(machine.root)] if words[0] in ("stick", "boot", "clock") else []
        return main(["provision", *map(str, words), *last, "--config", str(file)])

    return edge


@pytest.fixture
def stick(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text(TEXT)
    return folder


async def on(loaded, act):
    async with Cache(loaded) as cache:
        return await act(cache)


def test_the_answer_has_the_time_of_the_place_and_says_where_the_code_is(edge, stick):
    (stick / "edge.toml").write_text('[appliance]\nname = "x"\ntime_zone = "Asia/Kolkata"\n')
    assert edge("stick", stick.parent) == 0
    said = (stick / "result.txt").read_text()
    assert re.search(r"This box was set up by the stick, [\d-]+ \d\d:\d\d IST\.", said)
    assert "The code of the first admin is on the screen of the box; its key c" in said


def test_a_stick_sets_a_box_up_and_has_the_answer(edge, file, stick, loaded):
    assert edge("stick", stick.parent) == 0
    assert load(file, {}).appliance.name == "radiology"
    said = (stick / "result.txt").read_text()
    assert "This box was set up by the stick" in said
    assert "Name       radiology" in said
    assert "https://radiology.local:8443/welcome" in said
    assert "token of the file" in said
    assert "It was struck out of the file." in said
    assert "Passwords still stand in the file" in said
    assert TOKEN not in said + (stick / "edge.toml").read_text()
    found = asyncio.run(on(loaded, lambda cache: cache.users.redeem(TOKEN, PASSWORD, name="anna")))
    assert found.name == "anna"
    [entry] = [
        one
        for one in asyncio.run(on(loaded, lambda cache: asyncio.to_thread(recorded, cache)))
        if one.what == "edge provision"
    ]
    assert entry.actor.name == "stick"
    assert entry.detail["appliance.name after"] == '"radiology"'
    # It stays plugged in, and the machine starts anew.
    assert edge("stick", stick.parent) == 0
    assert "set up by this file before" in (stick / "result.txt").read_text()


def test_a_stick_that_is_refused_says_why_and_changes_nothing(edge, file, stick, capsys):
    (stick / "edge.toml").write_text(f"{TEXT}[sync]\nsweep_minuets = 5\n")
    assert edge("stick", stick.parent) == 2
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed: EDGE-SETUP/edge.toml:7: sync.sweep_minuets" in said
    assert TOKEN in (stick / "edge.toml").read_text()
    assert load(file, {}).appliance.name == "edge"
    (stick / "edge.toml").write_text(TEXT)
    assert edge("stick", stick.parent) == 0
    (stick / "edge.toml").write_text(TEXT.replace("radiology", "cardiology"))
    assert edge("stick", stick.parent) == 1
    assert "set up already" in (stick / "result.txt").read_text()
    assert "set up already" in capsys.readouterr().err


@pytest.fixture
def screen(machine, stick):
    """What the screen says of the stick: systemd made a folder for that."""
    (machine.places.sticks / stick.parent.name).mkdir(parents=True)
    return lambda: "".join(read_sticks(machine.places))


def test_the_screen_says_what_came_of_a_stick(edge, stick, screen):
    (stick / "edge.toml").write_text(f"{TEXT}[sync]\nsweep_minuets = 5\n")
    assert edge("stick", stick.parent) == 2
    assert screen() == "not taken: result.txt on it says why; you may take it out"
    (stick / "edge.toml").write_text(TEXT)
    (stick.parent / "EDGE-UPDATE").mkdir()
    assert edge("stick", stick.parent) == 0
    assert screen() == "has set this box up; its update comes next; leave it in"
    assert edge("stick", stick.parent) == 0
    assert screen().startswith("has set this box up before; nothing was changed; ")
    (stick / "edge.toml").unlink()
    assert edge("stick", stick.parent) == 0
    assert screen().startswith("has no EDGE-SETUP/edge.toml; ")


def test_the_screen_says_that_a_stick_is_read_and_that_it_can_not_be_written(
    edge, stick, screen, monkeypatch
):
    seen = []

    def refuse(*_, **__):
        seen.append(screen())
        raise DiskUnusable("the disk can't be used: Read-only file system")

    monkeypatch.setattr("edge.provision.medium.answer", refuse)
    assert edge("stick", stick.parent) == 1
    (stick / "edge.toml").write_text(f"x = 1\n{TEXT}")
    assert edge("stick", stick.parent) == 2
    assert seen == ["is read; leave it in"] * 2
    assert screen() == "not taken, and the answer can't be written to it; you may take it out"


def test_a_stick_of_something_else_is_left_alone(edge, tmp_path):
    (tmp_path / "other").mkdir()
    assert edge("stick", tmp_path / "other") == 0
    assert not list((tmp_path / "other").iterdir())


def test_a_medium_that_can_not_be_written_is_taken_all_the_same(edge, file, stick, monkeypatch):
    def refuse(*_, **__):
        raise DiskUnusable("the disk can't be used: Read-only file system")

    monkeypatch.setattr("edge.provision.medium.answer", refuse)
    assert edge("stick", stick.parent) == 1
    assert load(file, {}).appliance.name == "radiology"


@pytest.fixture
def on_boot(machine):
    """Puts a file onto the boot partition, and has root fetch it."""

    def on_boot(text):
        folder = machine.places.boot[0] / "EDGE-SETUP"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "edge.toml").write_text(text)
        begin(machine.places, Networks(machine.places, machine.tools), lambda _: None)
        return folder

    return on_boot


@contextlib.contextmanager
def root_of(machine):
    """Root carries one wish out."""
    root = threading.Thread(
        target=asyncio.run, args=(served(Carrier(machine.places, machine.tools)),)
    )
    root.start()
    yield
    root.join()


@pytest.mark.parametrize(
    "why", [NetworkAway("no cable"), NoAnswer("it is slow"), OSError(28, "full")]
)
def test_a_file_that_may_still_be_taken_stays_for_the_next_start(
    edge, file, machine, on_boot, why, monkeypatch
):
    async def fail(*_):
        raise why

    folder = on_boot(TEXT)
    with monkeypatch.context() as patched, root_of(machine):
        patched.setattr("edge.provision.taking.Taking.take", fail)
        assert edge("boot") == 1
    assert (folder / "edge.toml").read_text() == TEXT
    said = (folder / "result.txt").read_text()
    assert "is tried again at the next start" in said
    assert machine.places.setup_answer.read_text() == said, "the screen says it"
    assert not machine.places.setup.exists()
    on_boot(TEXT)  # the next start
    with root_of(machine):
        assert edge("boot") == 0
    assert load(file, {}).appliance.name == "radiology"
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    assert not machine.places.setup_answer.exists()


def test_while_a_stick_is_read_it_stays(edge, machine, loaded, on_boot, monkeypatch):
    """It was destroyed, whatever became of the stick."""
    monkeypatch.setattr("edge.provision.taking._TURN", 0.0)
    folder = on_boot(TEXT)
    lock = loaded.appliance.data_dir / "provisioned.lock"
    with lock.open("w") as held, root_of(machine):
        fcntl.flock(held, fcntl.LOCK_EX)
        assert edge("boot") == 1
    assert (folder / "edge.toml").read_text() == TEXT
    said = (folder / "result.txt").read_text()
    assert "being set up by another file" in said
    assert "is tried again at the next start" in said


def test_what_is_wrong_with_the_file_itself_is_not_tried_again(edge, machine, on_boot):
    folder = on_boot("[nonsense]\n")
    with root_of(machine):
        assert edge("boot") == 2
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    assert "nonsense" in machine.places.setup_answer.read_text(), "the screen says it"


def test_what_was_on_the_boot_partition_sets_it_up_and_goes(edge, file, machine, loaded):
    folder = machine.places.boot[0] / "EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text(TEXT)
    machine.places.setup.mkdir()
    (machine.places.setup / "edge.toml").write_text(TEXT)
    root = threading.Thread(
        target=asyncio.run, args=(served(Carrier(machine.places, machine.tools)),)
    )
    root.start()
    assert edge("boot") == 0
    root.join()
    assert load(file, {}).appliance.name == "radiology"
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    assert "The file was removed." in (folder / "result.txt").read_text()
    assert read_provisioned(loaded.appliance.data_dir).by == "boot partition"
    assert not machine.places.setup.exists()


@pytest.mark.parametrize(
    "wrong",
    [f"{'k' * 40_000} = 1", f"x = {'9' * 5000}", f"[{'a.' * 5000}a]"],
    ids=["long", "large", "deep"],
)
def test_however_odd_what_is_wrong_is_the_file_goes_from_the_boot_partition(edge, machine, wrong):
    text = f'{wrong}\n[archive]\npassword = "secret"\n'
    folder = machine.places.boot[0] / "EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text(text)
    machine.places.setup.mkdir()
    (machine.places.setup / "edge.toml").write_text(text)
    root = threading.Thread(
        target=asyncio.run, args=(served(Carrier(machine.places, machine.tools)),)
    )
    root.start()
    assert edge("boot") == 2
    root.join()
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    assert "Nothing was changed: " in (folder / "result.txt").read_text()


def test_that_nothing_was_changed_is_said_only_if_it_is_so(edge, file, stick, monkeypatch):
    async def fail(*_):
        raise OSError(5, "Input/output error")

    def changed(*_):
        raise DecisionRefused("the settings were changed meanwhile")

    monkeypatch.setattr("edge.provision.journal.Journal.mark", fail)
    monkeypatch.setattr("edge.provision.journal.undo_change", changed)
    assert edge("stick", stick.parent) == 1
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed" not in said
    assert "is set up can't be written down: Input/output error" in said
    assert "what holds all the same: the settings" in said
    assert load(file, {}).appliance.name == "radiology"
    assert TOKEN in (stick / "edge.toml").read_text()


def test_a_service_that_can_not_be_told_has_its_settings_all_the_same(
    edge, file, stick, monkeypatch
):
    async def fail(*_):
        raise EdgeError("the service does not answer", hint="look at its log")

    monkeypatch.setattr("edge.admin.local.ask_service", fail)
    assert edge("stick", stick.parent) == 0
    said = (stick / "result.txt").read_text()
    assert "This box was set up by the stick" in said
    assert "But: the service does not answer" in said
    assert TOKEN not in (stick / "edge.toml").read_text()


def test_a_service_that_can_not_be_told_is_the_other_box_all_the_same(
    edge, file, stick, loaded, monkeypatch
):
    """Before, nothing was said to be changed, of a box that becomes another one."""
    key = RecoveryKey(bytes(range(32)))

    async def backup(cache):
        await asyncio.to_thread(Escrow(cache.folder, cache.keys).keep, key.recipient, 1.0)
        made = Backups(loaded, file, cache.keys, cache.database, environ={})
        return (await made.make())[0]

    async def fail(*_):
        raise EdgeError("the service does not answer", hint="look at its log")

    (stick / "backup.edge").write_bytes(asyncio.run(on(loaded, backup)))
    groups = " ".join(key.to_groups())
    (stick / "edge.toml").write_text(f'[setup.restore]\nkey = "{groups}"\nfile = "backup.edge"\n')
    monkeypatch.setattr("edge.admin.local.ask_service", fail)
    assert edge("stick", stick.parent) == 0
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed" not in said
    assert "again once it has started anew: its screen says so." in said
    assert "But: the service does not answer\nlook at its log" in said
    assert groups not in (stick / "edge.toml").read_text()


def test_a_service_that_was_not_told_of_another_box_is_by_the_next_stick(
    edge, stick, loaded, monkeypatch
):
    """Before, it waited for a start that nobody was told to see to."""
    asked = []

    async def ask(_, act):
        asked.append(act)

    folder = loaded.appliance.data_dir
    with replacing.held(folder):
        replacing.decide(folder, replacing.Replacing("radiology", 1.0, "stick"))
    monkeypatch.setattr("edge.admin.local.ask_service", ask)
    assert edge("stick", stick.parent) == 1
    assert asked == ["settings"]
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed: another box takes this one's place already" in said


@pytest.fixture
def told(monkeypatch, loaded):
    """A service that was told of other settings, and what it does then."""

    def tell(does):
        async def ask(*_):
            await asyncio.to_thread(does, loaded.appliance.data_dir)
            return {}

        monkeypatch.setattr("edge.admin.local.ask_service", ask)

    return tell


def test_of_a_service_that_does_not_begin_anew_in_time_no_fingerprint_is_told(
    edge, stick, told, monkeypatch
):
    monkeypatch.setattr("edge.commands.beginning_anew._PATIENCE", 0.1)
    told(lambda _: None)
    assert edge("stick", stick.parent) == 0
    said = (stick / "result.txt").read_text()
    assert "This box was set up by the stick" in said
    assert "yet to start anew with these settings: the fingerprint" in said
    assert "SHA-256" not in said


def test_settings_that_do_not_start_use_up_no_set_up(edge, file, stick, told, loaded, monkeypatch):
    monkeypatch.setattr("edge.commands.beginning_anew._PATIENCE", 0.5)

    def refuse(folder):
        take_back(folder, "http.listen can't be listened on")

    told(refuse)
    assert edge("stick", stick.parent) == 2
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed: the box does not start with these settings: http.listen" in said
    assert TOKEN in (stick / "edge.toml").read_text(), "it is as good as before"
    assert read_provisioned(loaded.appliance.data_dir) is None
    assert asyncio.run(on(loaded, lambda cache: cache.users.first_code_until())) is None
    with pytest.raises(AccessDenied):
        asyncio.run(on(loaded, lambda cache: cache.users.redeem(TOKEN, PASSWORD, name="anna")))
    (stick / "edge.toml").write_text(TEXT.replace("radiology", "cardiology"))
    told(lambda folder: prove(folder, said_in(folder)))
    assert edge("stick", stick.parent) == 0
    assert load(file, {}).appliance.name == "cardiology"
    asyncio.run(on(loaded, lambda cache: cache.users.redeem(TOKEN, PASSWORD, name="anna")))


def test_why_they_do_not_start_is_said_though_the_service_has_undone_the_file(
    edge, stick, told, monkeypatch
):
    """It forgets that as soon as it runs again, and was quicker at times."""

    def seen_once(folder):
        why = setback(folder)
        for name in ("setback", "refused.why"):
            (folder / f"settings.toml.{name}").unlink(missing_ok=True)
        return why

    monkeypatch.setattr("edge.cache.own_settings.setback", seen_once)
    told(lambda folder: take_back(folder, "http.listen can't be listened on"))
    assert edge("stick", stick.parent) == 2
    assert "with these settings: http.listen" in (stick / "result.txt").read_text()


def test_settings_of_the_boot_partition_that_do_not_start_speak_of_no_stick(
    edge, machine, on_boot, told, monkeypatch
):
    monkeypatch.setattr("edge.commands.beginning_anew._PATIENCE", 0.5)
    told(lambda folder: take_back(folder, "http.listen can't be listened on"))
    folder = on_boot(TEXT)
    with root_of(machine):
        assert edge("boot") == 2
    said = (folder / "result.txt").read_text()
    assert "mend them, and write the file onto the boot partition once more" in said
    assert "stick" not in said


def test_where_another_token_comes_from_is_said_whatever_else_there_is_to_do(
    edge, stick, told, monkeypatch
):
    async def holds(_):
        raise HalfTaken("the network holds")

    async def fail(_):
        raise DiskUnusable("the disk can't be written")

    monkeypatch.setattr("edge.commands.beginning_anew._PATIENCE", 0.5)
    monkeypatch.setattr("edge.provision.taking.Taking.settle", holds)
    monkeypatch.setattr("edge.provision.medium.Token.put_back", fail)
    told(take_back)
    assert edge("stick", stick.parent) == 1
    said = (stick / "result.txt").read_text()
    assert "the network holds; the token is struck out of the file" in said
    assert "\nwrite another token into the file, too: edge provision token makes one" in said


def test_an_admin_who_was_made_by_then_keeps_the_box(edge, stick, told, loaded):
    def refuse(folder):
        async def redeem(cache):
            await cache.users.redeem(TOKEN, PASSWORD, name="anna")

        asyncio.run(on(loaded, redeem))
        take_back(folder)

    told(refuse)
    assert edge("stick", stick.parent) == 0
    said = (stick / "result.txt").read_text()
    assert "But: the box does not start with these settings" in said
    assert "Name       edge" in said
    assert TOKEN not in (stick / "edge.toml").read_text()
    (stick / "edge.toml").write_text(TEXT.replace("radiology", "cardiology"))
    assert edge("stick", stick.parent) == 1
    assert "set up already" in (stick / "result.txt").read_text()


def test_a_stick_that_is_pulled_out_meanwhile_changes_nothing(
    edge, file, machine, stick, loaded, capsys
):
    """systemd tells the command to end then, before it lets go of the stick."""
    (stick / "edge.toml").write_text(
        TEXT.replace("\n\n", '\n[setup.network]\naddress = ["192.0.2.77/24"]\n\n')
    )
    carried = Carrier(machine.places, machine.tools)

    def pull():
        asyncio.run(served(carried))
        os.kill(os.getpid(), signal.SIGTERM)
        asyncio.run(served(carried))

    root = threading.Thread(target=pull)
    root.start()
    assert edge("stick", stick.parent) == 1
    root.join()
    assert "the stick was pulled out" in capsys.readouterr().err
    assert "Nothing was changed: it was told to stop" in (stick / "result.txt").read_text()
    assert read_network(machine.places).tried is None
    assert load(file, {}).appliance.name == "edge"
    assert TOKEN in (stick / "edge.toml").read_text()
    assert not (loaded.appliance.data_dir / "provisioning.json").exists()


def test_a_stick_that_can_not_be_written_and_has_a_token_is_not_taken(
    edge, file, stick, monkeypatch, screen
):
    """It would make another box's first admin."""

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("edge.cache.disk.Folder.change", refuse)
    assert edge("stick", stick.parent) == 1
    assert "Nothing was changed: the disk" in (stick / "result.txt").read_text()
    assert load(file, {}).appliance.name == "edge"
    (stick / "edge.toml").write_text(TEXT.split("\n\n")[1])
    assert edge("stick", stick.parent) == 0


def test_a_file_is_checked_on_any_computer(edge, stick, capsys):
    assert edge("check", stick / "edge.toml") == 0
    assert "is sound: 1 settings, a token" in capsys.readouterr().out
    (stick / "edge.toml").write_text("[nonsense]\n")
    assert edge("check", stick / "edge.toml") == 2
    assert f"{stick}/edge.toml:1: nonsense is not a known key" in capsys.readouterr().err
    (stick / "edge.toml").write_text('[setup]\nca = "ca.pem"\n')
    assert edge("check", stick / "edge.toml") == 2
    place = f'{stick}/edge.toml:2: ca = "ca.pem"'
    assert f"{place} names a file that is not there" in capsys.readouterr().err
    (stick / "ca.pem").write_text("no certificate")
    assert edge("check", stick / "edge.toml") == 2
    assert f"{place}: the authority's file has no certificate" in capsys.readouterr().err
    (stick / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    assert edge("check", stick / "edge.toml") == 0
    assert edge("check", stick / "gone.toml") == 2
    assert f"{stick}/gone.toml: can't be read: No such file" in capsys.readouterr().err


def test_all_that_is_wrong_is_told_at_once_a_line_each(edge, stick, capsys):
    (stick / "edge.toml").write_text(
        '[setup]\nca = "ca.pem"\n[appliance]\ntime_zone = "Europe/Bruxelles"\n'
        '[[cloud.archive]]\nname = "a"\nkind = "pacs"\nurl = "https://a.example/"\n'
    )
    assert edge("check", stick / "edge.toml") == 2
    lines = capsys.readouterr().err.splitlines()
    place = f"{stick}/edge.toml"
    assert lines[0] == f"edge: {place}: has 3 mistakes"
    told = [line for line in lines[1:] if not line.startswith("    ")]
    assert [line.partition(" ")[0] for line in told] == [f"{place}:{at}:" for at in (2, 4, 7)]
    assert edge("stick", stick.parent) == 2
    answer = (stick / "result.txt").read_text()
    assert "has 3 mistakes" in answer
    assert 'ca = "ca.pem" names a file that is not there' in answer


def test_an_authority_that_the_file_does_not_name_is_told(edge, stick, capsys):
    (stick / "setup.ca").write_bytes(trustme.CA().cert_pem.bytes())
    (stick / "notes.txt").write_text("of the technician")
    told = 'But the authority in setup.ca is not trusted: a line ca = "setup.ca" below [setup]'
    assert edge("check", stick / "edge.toml") == 0
    assert told in capsys.readouterr().err
    assert edge("stick", stick.parent) == 0
    assert told in (stick / "result.txt").read_text()


def test_a_file_of_windows_editor_sets_a_box_up(edge, file, stick):
    text = (stick / "edge.toml").read_text()
    (stick / "edge.toml").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert edge("check", stick / "edge.toml") == 0
    assert edge("stick", stick.parent) == 0
    assert load(file, {}).appliance.name == "radiology"
    assert TOKEN not in (stick / "edge.toml").read_text("utf-16")


def test_a_token_is_a_code(edge, capsys):
    assert edge("token") == 0
    assert digest_of(capsys.readouterr().out.strip()) is not None


def test_by_what_a_box_was_set_up_is_told(edge, stick, capsys):
    assert edge("show") == 0
    assert "by no file" in capsys.readouterr().out
    edge("stick", stick.parent)
    assert edge("show") == 0
    assert "by the stick" in capsys.readouterr().out


def test_a_machine_that_knows_the_time_is_told_nothing(edge, machine, capsys):
    machine.places.synchronized.parent.mkdir(parents=True)
    machine.places.synchronized.touch()
    assert edge("clock") == 0
    assert "by itself" in capsys.readouterr().err
    machine.places.synchronized.unlink()
    machine.places.epoch.parent.mkdir(parents=True)
    machine.places.epoch.touch()
    os.utime(machine.places.epoch, (time.time(), time.time()))
    assert edge("clock") == 1
    assert "no archive tells the time" in capsys.readouterr().err


BY_PROXY = 'proxy = "http://p.invalid:3128"\nproxy_user = "u"\nproxy_password = "sealed:AQ"\n'
LOGIN = 'auth = { kind = "basic", user = "u", password = "sealed:AQ" }\n'


@pytest.fixture
def timeless(file, machine):
    """A machine that does not know the time; its archive, in words of the configuration."""
    machine.places.epoch.parent.mkdir(parents=True)
    machine.places.epoch.touch()
    os.utime(machine.places.epoch, (time.time(), time.time()))

    def has(name, more):
        with file.open("a") as opened:
            opened.write(f'\n[[cloud.archive]]\nname = "{name}"\n{more}')
            opened.write(f'url = "https://{name}.invalid/dicom-web"\n')

    return has


@pytest.mark.parametrize(
    ("secret", "more"), [("proxy_password", BY_PROXY), ("auth.password", LOGIN)]
)
def test_an_archive_whose_secret_can_not_be_opened_is_not_asked_for_the_time(
    edge, timeless, capsys, secret, more
):
    """Others are; and no password goes without being what it was."""
    timeless("cloud", more)
    assert edge("clock") == 1
    said = capsys.readouterr().err
    assert f"cloud.archive.0.{secret} is not a whole sealed secret" in said
    assert "no archive tells the time: there is none" in said


def test_without_keys_those_are_asked_that_need_no_password_on_the_way(
    edge, loaded, timeless, capsys
):
    timeless("cloud", BY_PROXY + 'role = "copy"\n')
    timeless("near", LOGIN)
    (loaded.appliance.data_dir / "root.key").unlink()
    assert edge("clock") == 1
    said = capsys.readouterr().err
    assert "no archive tells the time: near: " in said
    assert "cloud: " not in said
