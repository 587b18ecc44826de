"""The net that finds blocking calls has no hole where it matters."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from blockbuster import BlockingError

from edge import loading

EXAMPLE = "[appliance]\nname = 'test'\n"


async def test_a_blocking_call_of_the_edge_is_found(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(EXAMPLE)
    with pytest.raises(BlockingError):
        loading.load(path, {})


async def test_a_thread_may_block(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(EXAMPLE)
    loaded = await asyncio.to_thread(loading.load, path, {})
    assert loaded.appliance.name == "test"


async def test_a_test_may_block(tmp_path):
    (tmp_path / "file").write_text("x")


@pytest.mark.blocks  # shows that the mark works
async def test_a_marked_test_lets_the_edge_block(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(EXAMPLE)
    assert loading.load(path, {}).appliance.name == "test"


def test_free_ports_differ(free_port):
    assert len({free_port() for _ in range(5)}) == 5


def test_a_free_port_is_none_that_a_client_may_be_given(free_port):
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert all(free_port() < int(first) for _ in range(5))


def test_an_edge_that_a_test_starts_finds_no_tool_of_the_tests(tmp_path):
    (tmp_path / "edge.py").write_text("import click")
    command = [sys.executable, "-m", "edge"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "import of click halted" in done.stderr
