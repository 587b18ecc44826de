"""What the firewall lets in beside its usual ports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import edge
from edge.errors import MachineRefused
from edge.machine.firewall import doors_of, keep_doors, rules_of
from edge.machine.wishes import Doors, checked

IMAGE = Path(edge.__file__).parent.parent / "image/mkosi.extra/usr/lib/edge/firewall.nft"
USUAL = doors_of("0.0.0.0:8443", "0.0.0.0:11112", "", "")


def rules(*words):
    """The rules themselves, without what all begin with."""
    lines = rules_of(doors_of(*words)).splitlines()[1:]
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


@pytest.mark.skipif(not shutil.which("nft"), reason="needs nftables")
def test_the_firewall_understands_them(tmp_path):
    ours = tmp_path / "50-edge.nft"
    ours.write_text(rules_of(doors_of("0.0.0.0:443", "0.0.0.0:4242", "0.0.0.0:2763", "eth1")))
    whole = tmp_path / "firewall.nft"
    text = IMAGE.read_text()
    whole.write_text(text.replace("/var/lib/edge-machine/firewall.d/*.nft", str(ours)))
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", "nft", "-c", "-f", str(whole)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not" in done.stderr:
        pytest.skip("there is no network namespace to be had")
    assert not done.returncode, done.stderr


def test_the_image_reads_what_is_kept_and_has_the_chains(machine):
    text = IMAGE.read_text()
    kept = type(machine.places)().firewall_kept
    assert f'include "{kept.parent}/*.nft"' in text
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


def test_a_firewall_of_somebody_s_own_is_left_alone(machine):
    keep_doors(machine.places, machine.tools, Doors(9443))
    assert machine.called == []
    assert not machine.places.firewall_kept.exists()
