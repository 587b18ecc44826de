"""Network settings: tried, kept, gone back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

import edge
from edge.errors import MachineRefused
from edge.machine.networks import (
    TRIED_SECONDS,
    Networks,
    NetworkState,
    files_of,
    is_network_set,
    read_network,
)
from edge.machine.wishes import NetworkSettings
from tests.image.waiting import until
from tests.machine.machines import machine_in

FIXED = NetworkSettings(address=("192.168.1.10/24",), gateway=("192.168.1.1",))
OTHER = NetworkSettings(dns=("9.9.9.9",), ntp=("ntp.clinic.example",))
NOW = 1_800_000_000.0


@pytest.fixture
def networks(machine):
    made = Networks(machine.places, machine.tools, clock=lambda: NOW)
    made.begin()
    return made


def test_a_new_machine_has_nothing_of_ours(machine, networks):
    assert machine.networks() == {}
    assert read_network(machine.places) == NetworkState()


def test_what_is_tried_holds_at_once_and_a_timer_takes_it_back(machine, networks):
    state = networks.offer(FIXED)
    assert state == NetworkState(NetworkSettings(), FIXED, NOW + TRIED_SECONDS)
    assert read_network(machine.places) == state
    assert "Address=192.168.1.10/24\nGateway=192.168.1.1\n" in machine.networks()["10-edge.network"]
    # The timer runs before anything changes.
    assert machine.called == ["systemctl restart edge-machine-back.timer", "networkctl reload"]
    assert networks.back()
    assert machine.networks() == {}
    assert read_network(machine.places) == NetworkState()
    assert not networks.back()


def test_the_timer_unit_waits_as_long_as_is_said(pytestconfig):
    unit = pytestconfig.rootpath / "image/units/edge-machine-back.timer"
    assert f"OnActiveSec={TRIED_SECONDS / 60:.0f}min\n" in unit.read_text()


def test_what_is_kept_holds_after_a_restart_and_what_is_not_does_not(machine, networks):
    networks.offer(FIXED)
    networks.keep()
    assert machine.called[-1] == "systemctl stop edge-machine-back.timer"
    networks.offer(OTHER)
    assert "DNS=9.9.9.9" in machine.networks()["10-edge.network"]
    # The machine starts anew: /run is empty.
    for path in machine.places.networkd.iterdir():
        path.unlink()
    machine.places.network_state.unlink()
    Networks(machine.places, machine.tools).begin()
    assert "Address=192.168.1.10/24" in machine.networks()["10-edge.network"]
    assert read_network(machine.places) == NetworkState(FIXED)


def test_it_is_set_once_somebody_kept_settings(machine, networks):
    assert not is_network_set(machine.places)
    networks.offer(FIXED)
    assert not is_network_set(machine.places)
    networks.keep()
    assert is_network_set(machine.places)


def test_what_went_back_can_not_be_kept(networks):
    networks.offer(FIXED)
    networks.back()
    with pytest.raises(MachineRefused, match="went back"):
        networks.keep()


def test_what_goes_back_just_now_can_not_be_kept(machine, networks, tmp_path):
    """Or what is kept would be one thing, and what holds another."""
    networks.offer(FIXED)
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"
    program = machine.root / "programs/networkctl"
    program.write_text(f"#!/bin/sh\n>{reached}\nwhile [ ! -e {go_on} ]; do /bin/sleep 0.02; done\n")
    with ThreadPoolExecutor() as pool:
        back = pool.submit(networks.back)
        until(reached.exists, bool, 20)
        kept = pool.submit(networks.keep)
        assert wait([kept], timeout=0.3).not_done, "it waits for its turn"
        go_on.touch()
        assert back.result(20)
        with pytest.raises(MachineRefused, match="they went back"):
            kept.result(20)
    assert read_network(machine.places) == NetworkState()
    assert not machine.places.network_kept.exists()


def test_another_try_before_the_first_was_kept_leaves_what_was_kept(machine, networks):
    networks.offer(FIXED)
    networks.keep()
    networks.offer(OTHER)
    networks.offer(NetworkSettings(dns=("1.1.1.1",)))
    networks.back()
    assert read_network(machine.places) == NetworkState(FIXED)


def test_without_the_timer_nothing_is_tried(machine, networks):
    machine.breaks("systemctl")
    with pytest.raises(MachineRefused, match="systemctl is broken"):
        networks.offer(FIXED)
    assert machine.networks() == {}
    assert read_network(machine.places) == NetworkState()


def test_where_networkd_does_not_answer_it_is_started_anew(machine, networks):
    machine.breaks("networkctl")
    networks.offer(FIXED)
    assert machine.called[-1] == "systemctl restart systemd-networkd.service"


def test_what_was_kept_and_is_damaged_is_as_on_the_first_day(machine, networks):
    machine.places.kept.mkdir(parents=True, exist_ok=True)
    for damage in (b"", b"{", b'{"address": ["nonsense"]}', b'{"unknown": 1}'):
        machine.places.network_kept.write_bytes(damage)
        Networks(machine.places, machine.tools).begin()
        assert machine.networks() == {}


def test_files_that_are_not_ours_stay(machine, networks):
    (machine.places.networkd / "50-other.network").write_text("[Match]\n")
    networks.offer(FIXED)
    networks.back()
    assert machine.networks() == {"50-other.network": "[Match]\n"}


def test_a_vlan_has_a_device_of_its_own_which_goes_with_it(machine, networks):
    tagged = NetworkSettings(interface="enp1s0", vlan=12, address=("10.1.2.3/24",))
    networks.offer(tagged)
    files = machine.networks()
    assert "[VLAN]\nId=12\n" in files["10-edge-vlan.netdev"]
    assert "[Match]\nName=enp1s0\n" in files["10-edge-port.network"]
    assert "VLAN=edge-vlan" in files["10-edge-port.network"]
    assert "[Match]\nName=edge-vlan\n" in files["10-edge.network"]
    assert "Address=10.1.2.3/24" in files["10-edge.network"]
    networks.back()
    assert machine.networks() == {}
    assert machine.called[-3:-1] == ["networkctl delete edge-vlan", "networkctl reload"]


def test_by_dhcp_servers_that_are_named_stand_in_the_place_of_its_own():
    [text] = files_of(OTHER).values()
    assert "[Match]\nType=ether\nKind=!*\n" in text
    assert "DHCP=yes" in text
    assert "[DHCPv4]\nClientIdentifier=mac\nUseDNS=no\nUseNTP=no\n" in text
    [text] = files_of(FIXED).values()
    assert "DHCP=no" in text
    assert "DHCPv4" not in text
    assert "UseDNS" not in text


def test_a_server_of_addresses_knows_the_box_by_its_card_alone():
    """By the machine's number it had another address after each start, or that of its neighbour."""
    own = (Path(edge.__file__).parent.parent / "image/units/80-edge.network").read_text()
    made = [*files_of(OTHER).values(), *files_of(NetworkSettings(interface="eth1")).values()]
    for text in (own, *made):
        assert "[DHCPv4]\nClientIdentifier=mac\n" in text
        assert "[DHCPv6]\nDUIDType=link-layer\n" in text


def test_everybody_reads_the_state_and_root_alone_what_is_kept(tmp_path):
    machine = machine_in(tmp_path / "another")
    made = Networks(machine.places, machine.tools)
    made.begin()
    made.offer(FIXED)
    made.keep()
    assert machine.places.network_state.stat().st_mode & 0o777 == 0o644
    assert machine.places.network_kept.stat().st_mode & 0o777 == 0o600
