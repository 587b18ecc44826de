"""Which addresses are on which port, as the kernel says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from edge.machine.held import addresses, holds

SETTING = """
ip link set lo up
ip link add first type veth peer name second
ip link add cold type veth peer name pulled
ip link set first up; ip link set second up; ip link set cold up
ip -6 address add fd00::10/64 dev first nodad
ip address add 192.0.2.10/24 dev first
ip address add 198.51.100.1/32 peer 198.51.100.2/32 dev first
ip address add 169.254.7.7/16 dev second scope link
ip address add 203.0.113.5/24 dev cold
ip link property add dev first altname wired0 2>/dev/null
exec "$@"
"""
ASK = """
import json, sys
from edge.machine.held import holds
print(json.dumps([holds(port, tuple(wanted)) for port, wanted in json.loads(sys.argv[1])]))
"""
QUESTIONS = {
    ("first", ("192.0.2.10/24",)): True,
    ("first", ("192.0.2.10/24", "fd00::10/64")): True,
    ("wired0", ("192.0.2.10/24",)): True,
    ("", ("192.0.2.10/24",)): True,
    ("first", ("198.51.100.1/32",)): True,
    # The same on another port, of another network, or one that is not there.
    ("second", ("192.0.2.10/24",)): False,
    ("first", ("192.0.2.10/16",)): False,
    ("first", ("192.0.2.10/24", "192.0.2.11/24")): False,
    # Without a cable it is not on the network, whatever its address.
    ("cold", ("203.0.113.5/24",)): False,
    ("cold", ()): False,
    ("", ("203.0.113.5/24",)): False,
    # By DHCP: that another port was given one says nothing of this one.
    ("first", ()): True,
    ("", ()): True,
    ("second", ()): False,
    ("lo", ()): False,
    ("gone", ()): False,
}


@pytest.fixture(scope="module")
def answers():
    """Of a machine with other ports."""
    if not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("needs iproute2")
    asked = json.dumps(list(QUESTIONS))
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", "sh", "-c", SETTING, "sh",
         sys.executable, "-c", ASK, asked],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "not permitted" in done.stderr or "not supported" in done.stderr:
        pytest.skip(f"there is no network namespace to be had: {done.stderr}")
    assert not done.returncode, done.stderr
    return dict(zip(QUESTIONS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: f"{one[0]}-{','.join(one[1])}")
def test_a_port_has_what_it_has_and_nothing_of_another(answers, question):
    assert answers[question] is QUESTIONS[question]


def test_the_machine_itself_is_on_no_network_by_that():
    own = [one for one in addresses() if str(one.address) == "127.0.0.1/8"]
    assert own
    assert own[0].is_local
    assert holds("lo", ("127.0.0.1/8",))
