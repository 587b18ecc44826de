"""What the firewall lets in beside its usual ports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

import edge
from edge.errors import MachineRefused
from edge.machine.firewall import doors_of, keep_doors, read_doors, rules_of
from edge.machine.health import read_machine
from edge.machine.networks import VLAN, NetworkState
from edge.machine.wishes import Doors, NetworkSettings, checked

LIB = Path(edge.__file__).parent.parent / "image/mkosi.extra/usr/lib"
IMAGE = LIB / "edge/firewall.nft"
WHOLE = LIB / "edge/firewall-whole.nft"
UNIT = LIB / "systemd/system/edge-firewall.service"
OLDER = """
table inet edge
delete table inet edge
table inet edge {
    chain more_input {
    }
    chain input {
        type filter hook input priority filter; policy drop;
        jump more_input
        tcp dport { 8443, 11112, 2762 } accept
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 443 redirect to :8443
        tcp dport 104 redirect to :11112
    }
}
include "/var/lib/edge-machine/firewall.d/*.nft"
"""
"""What an image had before `more_prerouting` was there."""
USUAL = doors_of("0.0.0.0:8443", "0.0.0.0:11112", "", "")


def rules(*words):
    """The rules themselves, without what all begin with."""
    lines = rules_of(doors_of(*words)).splitlines()[2:]
    assert all(line.startswith("add rule inet edge more_") for line in lines)
    return [line.removeprefix("add rule inet edge more_") for line in lines]


def test_usual_ports_need_no_rules():
    assert Doors(8443, 11112, 0) == USUAL
    assert rules("0.0.0.0:8443", "0.0.0.0:11112", "0.0.0.0:2762", "") == []


def test_other_ports_are_let_in_and_what_is_usual_leads_there():
    assert rules("0.0.0.0:9443", "[::]:4242", "", "") == [
        "input tcp dport 4242 accept",
        "input tcp dport 9443 accept",
        "prerouting tcp dport 443 redirect to :9443",
        "prerouting tcp dport 104 redirect to :4242",
    ]


def test_a_service_that_listens_on_the_usual_port_itself_is_asked_there():
    """It was led to 11112, where nobody listened."""
    assert rules("0.0.0.0:443", "0.0.0.0:104", "", "") == [
        "input tcp dport 104 accept",
        "input tcp dport 443 accept",
        "prerouting tcp dport 443 accept",
        "prerouting tcp dport 104 accept",
    ]
    assert "prerouting tcp dport 104 accept" in rules("0.0.0.0:8443", "", "0.0.0.0:104", "")


def test_the_page_is_kept_to_one_port():
    assert rules("0.0.0.0:8443", "0.0.0.0:11112", "", "eth1") == [
        'input iifname != "eth1" tcp dport 8443 drop',
    ]
    with pytest.raises(MachineRefused, match="page_by"):
        checked(Doors(8443, page_by='e" accept'))


@pytest.fixture
def load(tmp_path):
    """Has a firewall of its own carry out what a unit says; what holds then, and what was said."""
    if not shutil.which("nft"):
        pytest.skip("needs nftables")
    kept = tmp_path / "firewall.d"
    kept.mkdir()

    def moved(text):
        text = text.replace("/var/lib/edge-machine/firewall.d", str(kept))
        return text.replace("/usr/lib/edge", str(tmp_path))

    def load(rules, starts, **files):
        (kept / "50-edge.nft").write_text(rules)
        for path in (IMAGE, WHOLE):
            (tmp_path / path.name).write_text(moved(files.get(path.stem, path.read_text())))
        commands = [
            f"{one.removeprefix('-')} {'|| true' if one.startswith('-') else '|| exit 1'}"
            for one in map(moved, starts)
        ]
        done = subprocess.run(
            [
                *("unshare", "--net", "--map-root-user", "sh", "-c"),
                "; ".join([*commands, "nft list ruleset"]),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if "Operation not" in done.stderr:
            pytest.skip("there is no network namespace to be had")
        assert not done.returncode, done.stderr
        return done.stdout, done.stderr

    return load


def starts(key="ExecStart"):
    lines = [line.partition("=") for line in UNIT.read_text().splitlines()]
    return [value for name, _, value in lines if name == key]


ALL = rules_of(doors_of("0.0.0.0:443", "0.0.0.0:4242", "0.0.0.0:2763", "eth1"))


@pytest.mark.parametrize("key", ["ExecStart", "ExecReload"])
def test_the_firewall_understands_them(load, key):
    holds, said = load(ALL, starts(key))
    assert not said
    for rule in (
        'iifname != "eth1" tcp dport 443 drop',
        "tcp dport 4242 accept",
        "tcp dport 104 redirect to :4242",
        "policy drop",
    ):
        assert rule in holds


def test_after_a_rollback_an_older_image_loads_them(load):
    """It had no chain of that name, did not load at all, and left the box without a network."""
    of_then = ["/usr/sbin/nft -f /usr/lib/edge/firewall.nft"]
    holds, _ = load(ALL, of_then, firewall=OLDER)
    assert "tcp dport 4242 accept" in holds
    assert 'iifname != "eth1" tcp dport 443 drop' in holds


@pytest.mark.parametrize("damage", ["add rule inet edge of_later accept\n", "\0\xff{"])
def test_what_can_not_be_loaded_leaves_the_box_with_the_image_s_own(load, damage):
    holds, said = load(damage, starts())
    assert "50-edge.nft" in said
    assert "policy drop" in holds
    assert "tcp dport 443 redirect to :8443" in holds


def test_a_reload_that_fails_leaves_what_held(load):
    with pytest.raises(AssertionError, match="of_later"):
        load("add rule inet edge of_later accept\n", starts("ExecReload"))


def test_the_image_reads_what_is_kept_and_has_the_chains(machine):
    text = IMAGE.read_text()
    kept = type(machine.places)().firewall_kept
    assert f'include "{kept.parent}/*.nft"' in WHOLE.read_text()
    assert "include" not in text
    for chain in ("more_input", "more_prerouting"):
        assert f"chain {chain} {{" in text
        assert f"jump {chain}" in text
    nat = text[text.index("chain prerouting") :]
    assert nat.index("jump more_prerouting") < nat.index("redirect to")


def test_they_hold_at_once_and_at_every_start(machine):
    machine.places.firewall.parent.mkdir(parents=True)
    machine.places.firewall.touch()
    keep_doors(machine.places, machine.tools, Doors(9443))
    assert machine.places.firewall_kept.read_text() == rules_of(Doors(9443))
    assert machine.called == ["systemctl reload edge-firewall.service"]


def test_rules_that_are_refused_change_nothing(machine):
    machine.places.firewall.parent.mkdir(parents=True)
    machine.places.firewall.touch()
    machine.breaks("systemctl")
    with pytest.raises(MachineRefused):
        keep_doors(machine.places, machine.tools, Doors(9443))
    assert not machine.places.firewall_kept.exists()
    machine.places.firewall_kept.write_text("of before")
    with pytest.raises(MachineRefused):
        keep_doors(machine.places, machine.tools, Doors(9443))
    assert machine.places.firewall_kept.read_text() == "of before"
    assert "does not take" in read_doors(machine.places)


def test_the_page_is_kept_to_no_port_that_is_missing(machine):
    """The card was replaced, and nobody could reach the page any more by any port."""
    places = machine.places
    places.firewall.parent.mkdir(parents=True)
    places.firewall.touch()
    wished = Doors(8443, 4242, page_by="eth1")
    keep_doors(places, machine.tools, wished)
    assert places.firewall_kept.read_text() == rules_of(Doors(8443, 4242))
    assert "no network port eth1 now" in read_doors(places)
    [trouble] = read_machine(places, None).troubles()
    assert trouble.startswith("http.interface")
    (places.ports / "eth1").mkdir(parents=True)
    keep_doors(places, machine.tools, wished)
    assert places.firewall_kept.read_text() == rules_of(wished)
    assert read_doors(places) == ""
    assert read_machine(places, None).is_fine


def test_the_page_is_kept_to_no_port_under_a_vlan(machine):
    """It has no address: nobody could reach the page, as long as the VLAN is tried, either."""
    places, wished = machine.places, Doors(9443, page_by="eth1")
    places.firewall.parent.mkdir(parents=True)
    places.firewall.touch()
    (places.ports / "eth1").mkdir(parents=True)
    vlan = NetworkSettings(interface="eth1", vlan=7)
    for state in (NetworkState(vlan), NetworkState(tried=vlan)):
        places.network_state.write_bytes(msgspec.json.encode(state))
        keep_doors(places, machine.tools, wished)
        assert places.firewall_kept.read_text() == rules_of(Doors(9443))
        assert "eth1 has no address, for a VLAN is on it" in read_doors(places)
    of_vlan = Doors(9443, page_by=VLAN)
    keep_doors(places, machine.tools, of_vlan)
    assert places.firewall_kept.read_text() == rules_of(of_vlan)
    places.network_state.unlink()
    keep_doors(places, machine.tools, wished)
    assert places.firewall_kept.read_text() == rules_of(wished)


def test_a_firewall_of_somebody_s_own_is_left_alone(machine):
    keep_doors(machine.places, machine.tools, Doors(9443))
    assert machine.called == []
    assert not machine.places.firewall_kept.exists()
