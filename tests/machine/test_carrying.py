"""Root's side: wishes of a stranger, carried out once or not at all."""

from __future__ import annotations

import asyncio
import os
import subprocess

import msgspec
import pytest

from edge.errors import MachineRefused
from edge.machine.asking import Answer, NoAnswer, ask, is_there, leave
from edge.machine.carrying import Carrier
from edge.machine.networks import read_network
from edge.machine.power import note_power, read_power
from edge.machine.wishers import check_wisher, user_of
from edge.machine.wishes import (
    LONGEST,
    Back,
    Clock,
    Doors,
    Keep,
    Lights,
    Name,
    Network,
    NetworkSettings,
    Power,
    PowerOff,
    Restart,
    SetupTaken,
    Trust,
    Wipe,
    to_bytes,
)
from tests.machine.machines import served

FIXED = NetworkSettings(address=("192.168.1.10/24",))


@pytest.fixture
def names():
    return []


@pytest.fixture
def carrier(machine, names):
    return Carrier(
        machine.places,
        machine.tools,
        rename=names.append,
        called=lambda: "radiology",
        set_time=lambda places, utc, measured: utc - 1000.0,
        clock=lambda: 1_800_000_000.0,
    )


def answer_to(places, path):
    return msgspec.json.decode((places.answers / path.name).read_bytes(), type=Answer)


def carried(carrier, places, wish):
    path = leave(places, wish)
    assert carrier.carry_out() == 1
    assert not list(places.requests.iterdir())
    return answer_to(places, path)


def test_a_wish_is_carried_out_and_answered(machine, carrier):
    assert carried(carrier, machine.places, Network(FIXED)) == Answer(done=True)
    assert read_network(machine.places).tried == FIXED
    assert carried(carrier, machine.places, Keep()).done
    refused = carried(carrier, machine.places, Keep())
    assert not refused.done
    assert "went back" in refused.message
    assert refused.hint


def test_they_are_carried_out_in_the_order_in_which_they_came(machine, carrier, names):
    for at, name in enumerate(("first", "second", "third")):
        os.utime(leave(machine.places, Name(name)), ns=(at, at))
    assert carrier.carry_out() == 3
    assert names == ["first", "second", "third"]


def test_the_name_holds_after_a_restart_and_the_image_knows_it(machine, carrier):
    machine.places.host_name.parent.mkdir(parents=True)
    assert carried(carrier, machine.places, Name("radiology")).done
    assert machine.places.name_kept.read_text() == "radiology\n"
    assert machine.places.host_name.read_text() == "radiology\n"


def test_the_clock_is_set_and_by_how_much_is_told(machine, carrier):
    assert carried(carrier, machine.places, Clock(1005.5, 3.0)) == Answer(True, "5.5")


def test_what_ends_the_machine_is_answered_before(machine, carrier):
    assert carried(carrier, machine.places, Restart()).done
    assert machine.called == ["systemctl --no-block reboot"]
    assert carried(carrier, machine.places, PowerOff()).done
    assert machine.called[1:] == ["systemctl --no-block poweroff"]
    assert read_power(machine.places).state == "ending"


def test_a_machine_that_can_not_power_off_takes_what_comes_again(machine, carrier):
    machine.breaks("systemctl")
    with pytest.raises(MachineRefused):
        carried(carrier, machine.places, PowerOff())
    assert read_power(machine.places).state == ""
    note_power(machine.places, "line")
    assert read_power(machine.places).state == "line"


def test_what_a_battery_says_is_there_for_everybody(machine, carrier):
    assert carried(carrier, machine.places, Power("battery")).done
    assert read_power(machine.places).state == "battery"
    assert machine.places.power.stat().st_mode & 0o777 == 0o644


def test_another_machine_is_not_wiped(machine, carrier):
    refused = carried(carrier, machine.places, Wipe("cardiology"))
    assert not refused.done
    assert machine.called == []
    assert carried(carrier, machine.places, Wipe("radiology")).done
    assert machine.called[-1] == "systemctl --no-block reboot --force"


def test_once_it_is_to_be_wiped_nothing_else_ends_it(machine, carrier):
    for at, wish in enumerate((PowerOff(), Wipe("radiology"), PowerOff(), Restart())):
        os.utime(leave(machine.places, wish), ns=(at, at))
    assert carrier.carry_out() == 4
    assert machine.called[0].startswith("systemctl stop edge.service")
    assert machine.called[-1] == "systemctl --no-block reboot --force"
    assert "systemctl --no-block poweroff" not in machine.called
    assert "systemctl --no-block reboot" not in machine.called


def test_of_two_that_end_it_the_later_one_does(machine, carrier):
    for at, wish in enumerate((Restart(), PowerOff())):
        os.utime(leave(machine.places, wish), ns=(at, at))
    carrier.carry_out()
    assert machine.called == ["systemctl --no-block poweroff"]


ALL_WISHES = (
    Network(FIXED),
    Keep(),
    Back(),
    Name("cardiology"),
    Trust(""),
    Clock(1005.5, 3.0),
    Restart(),
    PowerOff(),
    Lights("safe"),
    SetupTaken(""),
    Doors(8443),
    Wipe("radiology"),
)


def test_who_reads_the_battery_says_what_it_says_and_no_more(machine, names):
    asked = []
    carrier = Carrier(
        machine.places,
        machine.tools,
        rename=names.append,
        called=lambda: "radiology",
        who=lambda uid: asked.append(uid) or "nut",
    )
    for wish in ALL_WISHES:
        refused = carried(carrier, machine.places, wish)
        assert not refused.done
        assert "nut may not wish that" in refused.message
    assert (machine.called, names) == ([], [])
    assert not machine.places.kept.exists()
    assert carried(carrier, machine.places, Power("low")).done
    assert read_power(machine.places).state == "low"
    assert set(asked) == {os.geteuid()}  # whose files they are


@pytest.mark.parametrize("user", ["", "www-data"])
def test_who_is_neither_root_nor_the_service_may_wish_nothing(user):
    for wish in (*ALL_WISHES, Power("line")):
        with pytest.raises(MachineRefused, match="may not wish"):
            check_wisher(user, wish)
        for trusted in ("root", "edge"):
            check_wisher(trusted, wish)


def test_users_are_told_by_their_numbers():
    assert user_of(os.geteuid()) == "root"  # whoever carries wishes out
    assert user_of(4_000_000_000) == ""


def test_what_somebody_wished_is_not_carried_out_by_another_name(machine, carrier, names):
    kept = machine.root / "kept"
    os.link(leave(machine.places, Name("twice")), kept)
    assert carrier.carry_out() == 1
    assert names == []


def test_no_certificate_is_no_authority(machine, carrier):
    refused = carried(carrier, machine.places, Trust("nothing"))
    assert "no certificate" in refused.message
    assert not machine.places.ca_bundle.exists()


def test_what_was_read_from_the_boot_partition_goes(machine, carrier):
    folder = machine.places.boot[0] / "EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text("[setup]\ntoken = '7K2M'\n")
    assert carried(carrier, machine.places, SetupTaken("It was taken.")).done
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    assert (folder / "result.txt").read_text() == "It was taken."


@pytest.mark.parametrize("what", ["empty", "long", "link", "folder", "pipe", "text", "unreadable"])
def test_whatever_lies_there_the_next_wish_is_carried_out(machine, carrier, names, what, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(to_bytes(Name("by-a-link")))
    path = machine.places.requests / f"{'0' * 32}.json"
    match what:
        case "empty":
            path.touch()
        case "long":
            path.write_bytes(b" " * (LONGEST + 1))
        case "link":
            path.symlink_to(secret)
        case "folder":
            (path / "more").mkdir(parents=True)
        case "pipe":
            os.mkfifo(path)
        case "text":
            path.write_text("please")
        case "unreadable":
            path.write_bytes(b"\xff\xfe")
    os.utime(path, ns=(0, 0), follow_symlinks=False)
    leave(machine.places, Name("next"))
    assert carrier.carry_out() == 2
    assert names == ["next"]
    assert not list(machine.places.requests.iterdir())
    assert secret.exists()
    assert not answer_to(machine.places, path).done


@pytest.mark.parametrize("name", [f"{'0' * 32}.json", ".old"])
def test_a_folder_that_is_too_deep_to_be_removed_holds_nothing_up(machine, carrier, names, name):
    requests = machine.places.requests
    try:
        dig(requests / name, 3000)
        os.utime(requests / name, ns=(0, 0))
        leave(machine.places, Name("next"))
        assert carrier.carry_out() <= 2
        assert names == ["next"]
        assert not list(requests.iterdir())
        assert carrier.carry_out() == 0
    finally:  # what pytest removes by itself must not be that deep
        subprocess.run(["rm", "-rf", machine.places.run], check=True)


def dig(path, levels):
    """A folder in a folder, and so on."""
    path.mkdir()
    within = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("x", dir_fd=within)
        above, within = within, os.open("x", os.O_RDONLY, dir_fd=within)
        os.close(above)
    os.close(within)


def test_a_file_that_is_not_named_as_wishes_are_is_answered_nowhere(machine, carrier):
    (machine.places.requests / "x..%2fx.json").write_bytes(to_bytes(Keep()))
    carrier.carry_out()
    assert not list(machine.places.answers.iterdir())
    assert not list(machine.places.requests.iterdir())


def test_a_wish_that_is_being_written_is_left_and_one_that_nobody_finished_goes(machine, carrier):
    fresh, old = (machine.places.requests / f".{at}.json.new" for at in "ab")
    fresh.touch()
    old.touch()
    os.utime(old, (1, 1))
    answer = machine.places.answers / f"{'a' * 32}.json"
    answer.touch()
    os.utime(answer, (1, 1))
    assert carrier.carry_out() == 0
    assert fresh.exists()
    assert not old.exists()
    assert not answer.exists()


def test_a_disk_that_is_full_is_an_answer(machine, carrier):
    machine.places.kept.parent.mkdir(parents=True, exist_ok=True)
    machine.places.kept.write_text("a file where the folder should be")
    refused = carried(carrier, machine.places, Name("radiology"))
    assert not refused.done
    assert "the machine can't" in refused.message


async def test_who_asks_waits_for_the_answer(machine, carrier):
    async with asyncio.TaskGroup() as group:
        group.create_task(served(carrier))
        assert await ask(machine.places, Network(FIXED)) == Answer(done=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(served(carrier))
        with pytest.raises(MachineRefused, match="not called"):
            await ask(machine.places, Wipe("cardiology"))


async def test_a_wish_that_nobody_answers_is_taken_back(machine):
    with pytest.raises(NoAnswer, match="does not answer"):
        await ask(machine.places, Keep(), patience=0.1)
    assert not list(machine.places.requests.iterdir())


async def test_of_a_wish_that_was_taken_and_not_answered_it_is_said_that_it_may_be_done(machine):
    async with asyncio.TaskGroup() as group:
        group.create_task(taken(machine.places.requests))
        with pytest.raises(NoAnswer, match="does not answer: it has begun") as caught:
            await ask(machine.places, Keep(), patience=1.0)
    assert "wish it again" in caught.value.hint


async def taken(folder):
    while not (found := await asyncio.to_thread(lambda: list(folder.glob("*.json")))):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    found[0].unlink()


async def test_what_is_no_wish_is_not_even_left(machine):
    with pytest.raises(MachineRefused, match="gateway"):
        await ask(machine.places, Network(NetworkSettings(gateway=("10.0.0.1",))))
    assert not list(machine.places.requests.iterdir())


def test_a_machine_that_is_no_appliance_takes_none(machine):
    assert is_there(machine.places)
    machine.places.requests.rmdir()
    assert not is_there(machine.places)
    with pytest.raises(MachineRefused, match="takes no wishes"):
        leave(machine.places, Keep())
