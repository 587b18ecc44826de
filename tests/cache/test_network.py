"""What a machine can tell of its network by itself."""

from __future__ import annotations

import pytest

from edge.cache.network import look

SET = 1_800_000_000.0
ROUTE = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    return tmp_path


def found(root, what, now=SET):
    return next(one for one in look(root, now) if one.what == what)


def test_the_router_is_the_one_of_the_kernel_s_table(root):
    line = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n"
    (root / "proc/net/route").write_text(ROUTE + line)
    one = found(root, "router")
    assert (one.is_fine, one.found) == (True, "192.168.1.1 (eth0)")


def test_a_route_to_the_own_network_is_no_way_out(root):
    line = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
    (root / "proc/net/route").write_text(ROUTE + line)
    one = found(root, "router")
    assert not one.is_fine
    assert one.hint


def test_name_servers_are_those_of_the_resolver(root):
    assert not found(root, "names").is_fine
    (root / "etc/resolv.conf").write_text("# x\nsearch a.example\nnameserver 192.168.1.1\n")
    one = found(root, "names")
    assert (one.is_fine, one.found) == (True, "192.168.1.1")


def test_behind_the_resolver_of_this_machine_the_real_name_servers_are_told(root):
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.53\noptions edns0\n")
    assert not found(root, "names").is_fine
    (root / "run/systemd/resolve").mkdir(parents=True)
    (root / "run/systemd/resolve/resolv.conf").write_text(
        "nameserver 192.168.1.1\nnameserver 9.9.9.9\n"
    )
    one = found(root, "names")
    assert (one.is_fine, one.found) == (True, "192.168.1.1, 9.9.9.9")


def test_a_clock_that_was_never_set_is_found_out(root):
    assert not found(root, "clock", now=0.0).is_fine
    unsure = found(root, "clock")
    assert not unsure.is_fine
    assert "not known" in unsure.found
    assert unsure.hint
    (root / "run/systemd/timesync").mkdir(parents=True)
    (root / "run/systemd/timesync/synchronized").touch()
    assert found(root, "clock").is_fine
    assert found(root, "clock").found == "it follows a time server"


def test_this_machine_is_looked_at_without_an_error():
    assert [one.what for one in look()] == ["address", "router", "names", "clock"]
