"""The network ports of the machine."""

from __future__ import annotations

from edge.machine.places import Places
from edge.machine.ports import Port, read_ports


def port(places, name, *, carrier="", kind="1", parts=("device",)):
    folder = places.ports / name
    for part in parts:
        (folder / part).mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "address").write_text("52:54:00:12:34:56\n")
    (folder / "type").write_text(f"{kind}\n")
    if carrier:
        (folder / "carrier").write_text(f"{carrier}\n")


def test_wired_ports_are_named_with_their_cable(tmp_path):
    places = Places.under(tmp_path)
    port(places, "enp2s0", carrier="0")
    port(places, "enp1s0", carrier="1")
    port(places, "enp3s0")  # switched off: the kernel gives no carrier
    port(places, "lo", kind="772", parts=())
    port(places, "edge-vlan", carrier="1", parts=())
    port(places, "wlan0", parts=("device", "phy80211"))
    port(places, "ib0", kind="32")
    mac = "52:54:00:12:34:56"
    assert read_ports(places) == (
        Port("enp1s0", mac, True),
        Port("enp2s0", mac, False),
        Port("enp3s0", mac, None),
    )
    assert [str(one)[-10:].strip() for one in read_ports(places)[:2]] == ["cable in", "no cable"]


def test_without_a_kernel_that_says_so_there_are_none(tmp_path):
    assert read_ports(Places.under(tmp_path)) == ()
