"""A file that would keep everybody from the page is refused, as far as that is known."""

from __future__ import annotations

import msgspec
import pytest

from edge.errors import ConfigError, MachineRefused
from edge.machine.networks import VLAN, NetworkState
from edge.machine.places import Places
from edge.machine.wishes import NetworkSettings
from edge.provision.file import read_setup
from edge.provision.reach import NetworkAway, refuse_out_of_reach
from tests.machine.test_ports import port

NETWORK = NetworkSettings(address=("192.0.2.10/24",))


@pytest.mark.parametrize(
    ("listen", "what"),
    [
        ("127.0.0.1:8443", "from the box alone"),
        ("127.9.9.9:8443", "from the box alone"),
        ("[::1]:8443", "from the box alone"),
        ("[::ffff:127.0.0.1]:8443", "from the box alone"),
        ("localhost:8443", "names no address"),
        ("0.0.0.0:0", "names no port"),
        ("0.0.0.0:11112", "and dimse.listen have the same port, 11112"),
    ],
)
def test_a_page_that_nobody_would_see_is_refused_with_its_line(listen, what):
    with pytest.raises(ConfigError) as caught:
        read_setup(f'[http]\nlisten = "{listen}"\n', "edge.toml")
    assert str(caught.value).startswith("edge.toml:2: http.listen ")
    assert what in str(caught.value)


@pytest.mark.parametrize("listen", ["0.0.0.0:9443", "[::]:9443", "192.0.2.10:8443"])
def test_other_pages_are_taken(listen):
    assert read_setup(f'[http]\nlisten = "{listen}"\n', "edge.toml").changes


@pytest.mark.parametrize("key", ["http.listen", "dimse.listen", "dimse.tls_listen"])
def test_an_address_that_the_machine_has_not_is_refused(key, tmp_path):
    def look(listen, network):
        refuse_out_of_reach({key: listen}, network, Places.under(tmp_path))

    for network in (None, NETWORK):
        with pytest.raises(NetworkAway, match=f"{key}: this machine has no address 203.0.113.77"):
            look("203.0.113.77:8443", network)
    look("192.0.2.10:8443", NETWORK)
    with pytest.raises(NetworkAway, match=r"no address 192\.0\.2\.10"):
        look("192.0.2.10:8443", None)
    look("203.0.113.77:8443", NetworkSettings(dns=("192.0.2.1",)))  # DHCP may give it
    look("0.0.0.0:8443", NETWORK)
    look("127.0.0.1:11112", NETWORK)


def test_a_page_by_the_port_under_a_vlan_is_refused(tmp_path):
    """It has no address then: nobody would reach the page."""
    places = Places.under(tmp_path)
    for name in ("enp1s0", "enp2s0"):
        port(places, name)
    vlan = NetworkSettings(interface="enp1s0", vlan=7)

    def look(name, network):
        refuse_out_of_reach({"http.interface": name}, network, places)

    with pytest.raises(
        MachineRefused, match="enp1s0 has no address, for VLAN 7 is on it"
    ) as caught:
        look("enp1s0", vlan)
    assert caught.value.hint == f"it has enp2s0, {VLAN}"
    look(VLAN, vlan)
    look("enp2s0", vlan)
    with pytest.raises(MachineRefused, match=f"no network port {VLAN}"):
        look(VLAN, None)
    places.network_state.parent.mkdir(parents=True)
    places.network_state.write_bytes(msgspec.json.encode(NetworkState(vlan)))
    look(VLAN, None)
    with pytest.raises(MachineRefused, match="enp1s0 has no address"):
        look("enp1s0", None)
    look("enp1s0", NetworkSettings())
