"""Which network port the page may be kept to, and by which one somebody came."""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import edge
from edge.machine import page_port
from edge.machine.held import Held
from edge.machine.networks import VLAN, NetworkState
from edge.machine.page_port import (
    came_by,
    has_port,
    page_found,
    page_ports,
    ports_with_address,
)
from edge.machine.wishes import NetworkSettings
from tests.machine.test_ports import port


@pytest.fixture
def of_image(places):
    places.firewall.parent.mkdir(parents=True)
    places.firewall.touch()
    port(places, "enp1s0", carrier="1")
    port(places, "enp2s0", carrier="0")
    return places


def test_where_the_firewall_is_somebody_s_own_there_is_nothing_to_choose(places):
    port(places, "enp1s0")
    assert page_ports(places) == ()


def test_each_wired_port_may_be_chosen(of_image):
    assert [one.name for one in page_ports(of_image)] == ["enp1s0", "enp2s0"]


def test_of_a_vlan_its_own_port_and_not_that_under_it(of_image):
    """That has no address then: nobody could reach the page by it."""
    settings = NetworkSettings(interface="enp1s0", vlan=7)
    of_image.network_state.write_bytes(msgspec.json.encode(NetworkState(settings)))
    port(of_image, VLAN, carrier="1", parts=())
    found = page_ports(of_image)
    assert [(one.name, one.has_cable) for one in found] == [("enp2s0", False), (VLAN, True)]


def test_the_port_of_a_vlan_comes_with_that_under_it(places):
    plain, settings = NetworkSettings(), NetworkSettings(interface="enp1s0", vlan=7)
    assert not has_port(places, VLAN, settings)
    assert ports_with_address(places, settings) == ()
    port(places, "enp1s0")
    assert (has_port(places, VLAN, settings), has_port(places, "enp1s0", settings)) == (True, False)
    assert (has_port(places, VLAN, plain), has_port(places, "enp1s0", plain)) == (False, True)
    assert [one.name for one in ports_with_address(places, settings)] == [VLAN]


def test_the_page_is_not_kept_to_the_machine_itself(places):
    """Nobody on the LAN could reach it."""
    port(places, "lo", parts=())
    assert not has_port(places, "lo", NetworkSettings())


def test_a_page_that_is_kept_to_one_port_is_at_no_address_of_another(of_image, monkeypatch):
    own = 3

    def number_of(name):
        if name != "enp3s0":
            raise OSError(errno.ENODEV, "No such device")
        return own

    held = [
        Held(own, ipaddress.ip_interface("192.0.2.7/24"), is_local=False),
        Held(own, ipaddress.ip_interface("fe80::1/64"), is_local=True),
        Held(own + 1, ipaddress.ip_interface("198.51.100.7/24"), is_local=False),
    ]
    monkeypatch.setattr(page_port, "addresses", lambda: held)
    monkeypatch.setattr(socket, "if_nametoindex", number_of)
    found = ["198.51.100.7"]
    assert page_found(of_image, "", found) == found
    assert page_found(of_image, "enp3s0", found) == found  # none of its ports: by each, then
    port(of_image, "enp3s0")
    assert page_found(of_image, "enp3s0", found) == ["192.0.2.7"]
    assert page_found(of_image, "enp1s0", found) == ()  # the kernel knows none of that name
    of_image.firewall.unlink()
    assert page_found(of_image, "enp3s0", found) == found


@pytest.mark.parametrize(
    ("family", "listens", "called"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
    ids=["IPv4", "IPv6", "IPv4 at IPv6"],
)
def test_the_kernel_says_by_which_port_somebody_came(family, listens, called):
    with socket.socket(family) as door:
        try:
            if family == socket.AF_INET6:
                door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            door.bind((listens, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        door.listen()
        with socket.create_connection((called, door.getsockname()[1])):
            accepted, _ = door.accept()
            with accepted:
                assert came_by(accepted) == "lo"
                assert came_by(accepted) == "lo"


def test_of_what_is_no_connection_over_a_network_it_is_not_known():
    one, other = socket.socketpair()
    with one, other:
        assert came_by(one) == ""


SERVER = """
import socket, subprocess, sys
from edge.machine.page_port import came_by
run = lambda *words: subprocess.run(words, check=True)
client = subprocess.Popen(
    ["unshare", "--net", sys.executable, "-c", sys.argv[1]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
assert client.stdout.readline() == b"there\\n"
for at in (1, 2):
    run("ip", "link", "add", f"box{at}", "type", "veth", "peer", "name", f"line{at}")
    run("ip", "link", "set", f"line{at}", "netns", str(client.pid))
    run("ip", "address", "add", f"10.0.{at}.1/24", "dev", f"box{at}")
    run("ip", "link", "set", f"box{at}", "up")
client.stdin.write(b"go\\n")
client.stdin.flush()
with socket.create_server(("10.0.2.1", 8443)) as door:
    door.settimeout(20)
    client.stdin.write(b"listens\\n")
    client.stdin.flush()
    accepted, _ = door.accept()
    print(accepted.getsockname()[0], came_by(accepted))
client.communicate()
"""
CLIENT = """
import socket, subprocess, sys
run = lambda *words: subprocess.run(words, check=True)
print("there", flush=True)
sys.stdin.readline()
for at in (1, 2):
    run("ip", "address", "add", f"10.0.{at}.2/24", "dev", f"line{at}")
run("ip", "link", "set", "line1", "up")
run("ip", "route", "add", "10.0.2.1", "via", "10.0.1.1", "src", "10.0.1.2")
sys.stdin.readline()
socket.create_connection(("10.0.2.1", 8443), 20)
"""


def test_the_address_that_is_called_does_not_tell_by_which_port_somebody_came():
    """A machine answers for each of its addresses by every port."""
    if not shutil.which("ip"):
        pytest.skip("needs iproute2")
    root = Path(edge.__file__).parent.parent
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", sys.executable, "-c", SERVER, CLIENT],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    if "Operation not" in done.stderr:
        pytest.skip("there is no network namespace to be had")
    assert done.stdout == "10.0.2.1 box1\n", done.stderr
