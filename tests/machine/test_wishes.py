"""What can be wished of the machine, and that it is nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import MachineRefused
from edge.machine.networks import files_of
from edge.machine.wishes import (
    Clock,
    Disks,
    EraseOld,
    Keep,
    Move,
    Name,
    Network,
    NetworkSettings,
    Stay,
    Wipe,
    checked_network,
    from_bytes,
    to_bytes,
)

FIXED = NetworkSettings(
    address=("192.168.1.10/24", "fd00::10/64"), gateway=("192.168.1.1",), dns=("192.168.1.1",)
)


@pytest.mark.parametrize(
    "wish",
    [
        Network(FIXED),
        Keep(),
        Name("radiology"),
        Clock(1.5e9, 12.0),
        Wipe("edge"),
        Disks(),
        Move("nvme0n1", "0" * 16, erase=True),
        Stay(),
        EraseOld(),
    ],
    ids=lambda wish: type(wish).__name__,
)
def test_a_wish_is_read_as_it_was_written(wish):
    assert from_bytes(to_bytes(wish)) == wish


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"kind": "run", "command": "id"}',
        b'{"kind": "keep-network", "more": 1}',
        b'{"kind": "network", "settings": {"address": "192.168.1.10/24"}}',
        b'{"kind": "lights", "level": "disco"}',
        b'{"kind": "clock", "utc": "now", "measured": 0}',
        b'{"kind": "power", "event": "reboot"}',
        b"[" * 100_000,
    ],
)
def test_what_is_none_is_refused(data):
    with pytest.raises(MachineRefused, match="can't be understood"):
        from_bytes(data)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"address": ("192.168.1.10",)}, "address"),
        ({"address": ("192.168.1.0/24",)}, "address"),
        ({"address": ("192.168.1.255/24",)}, "address"),
        ({"address": ("127.0.0.1/8",)}, "address"),
        ({"address": ("224.0.0.5/24",)}, "address"),
        ({"address": ("fe80::1%eth0/64",)}, "address"),
        ({"address": ("192.168.1.10/24\nGateway=10.0.0.1",)}, "address"),
        ({"gateway": ("192.168.1.1",)}, "gateway"),
        ({"address": ("192.168.1.10/24",), "gateway": ("192.168.2.1",)}, "gateway"),
        ({"address": ("192.168.1.10/24",), "gateway": ("192.168.1.10",)}, "gateway"),
        ({"dns": ("dns.example",)}, "dns"),
        ({"domains": ("clinic.example\nDNS=1.2.3.4",)}, "domains"),
        ({"domains": ("-x.example",)}, "domains"),
        ({"ntp": ("300.1.1.1",)}, "ntp"),
        ({"ntp": ("ntp example",)}, "ntp"),
        ({"interface": "../eth0"}, "interface"),
        ({"interface": "--all"}, "interface"),
        ({"interface": "eth0]"}, "interface"),
        ({"interface": "eth0", "vlan": 4095}, "vlan"),
        ({"interface": "eth0", "vlan": -1}, "vlan"),
        ({"vlan": 12}, "vlan"),
    ],
)
def test_network_settings_that_do_not_hold_together_are_refused_by_name(settings, name):
    with pytest.raises(MachineRefused, match=rf"^{name}: ") as caught:
        checked_network(NetworkSettings(**settings))
    assert caught.value.hint


def test_addresses_come_out_in_their_usual_form():
    found = checked_network(
        NetworkSettings(
            address=("FD00:0:0:0::10/64",), dns=("2001:0db8::0001",), ntp=("NTP.Example",)
        )
    )
    assert found.address == ("fd00::10/64",)
    assert found.dns == ("2001:db8::1",)
    assert found.ntp == ("ntp.example",)


def test_a_router_of_the_link_and_a_network_of_two_are_fine():
    v6 = NetworkSettings(address=("2001:db8::10/64",), gateway=("fe80::1",))
    assert checked_network(v6) == v6
    pair = NetworkSettings(address=("10.0.0.1/31",), gateway=("10.0.0.0",))
    assert checked_network(pair) == pair


@pytest.mark.parametrize("name", ["", "-edge", "edge-", "a b", "edge.local", "é", "x" * 64, "a\nb"])
def test_a_machine_is_not_called_so(name):
    with pytest.raises(MachineRefused):
        from_bytes(to_bytes(Name(name)))


OURS = frozenset(
    "Name Type Kind DHCP MulticastDNS LLMNR Address Gateway DNS NTP Domains UseDNS UseNTP VLAN Id"
    " LinkLocalAddressing IPv6AcceptRA RequiredForOnline ClientIdentifier DUIDType".split()
)
TEXTS = st.text(max_size=40) | st.sampled_from(["10.0.0.2/24", "10.0.0.1", "a.example", "eth0"])


@given(
    st.builds(
        NetworkSettings,
        interface=TEXTS,
        address=st.lists(TEXTS, max_size=2).map(tuple),
        gateway=st.lists(TEXTS, max_size=1).map(tuple),
        dns=st.lists(TEXTS, max_size=2).map(tuple),
        domains=st.lists(TEXTS, max_size=2).map(tuple),
        vlan=st.integers(-5, 5000),
        ntp=st.lists(TEXTS, max_size=2).map(tuple),
    )
)
def test_whatever_was_typed_no_line_of_a_file_is_another_than_ours(settings):
    try:
        settings = checked_network(settings)
    except MachineRefused:
        return
    for text in files_of(settings).values():
        for line in text.splitlines():
            key = line.partition("=")[0]
            assert line == "" or line.startswith(("#", "[")) or key in OURS


@pytest.mark.parametrize("name", ["", "/dev/sda", "../sda", "--all", "sd a", "SDA"])
def test_a_disk_is_named_as_the_kernel_names_it(name):
    with pytest.raises(MachineRefused, match="is no name of a disk"):
        from_bytes(to_bytes(Move(name, "0" * 16)))
