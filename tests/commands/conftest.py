"""A box for commands: it was started once, and does not run."""

from __future__ import annotations

import asyncio

import pytest

from edge import config
from edge.app import Appliance
from tests.machine.machines import machine_in


@pytest.fixture
def machine(tmp_path):
    """What is under the box."""
    return machine_in(tmp_path / "machine")


@pytest.fixture
def loaded(tmp_path):
    """The configuration of the box, for a service of it."""
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
    )


@pytest.fixture
def started(tmp_path, loaded):
    """Starts the box once, and writes its file, in which more may stand behind ``data_dir``."""

    def start(more=""):
        async def start_once():
            async with Appliance(loaded):
                pass

        asyncio.run(start_once())
        path = tmp_path / "edge.toml"
        path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n{more}')
        return path

    return start


@pytest.fixture
def path(tmp_path):
    """A file of a box that takes the updates of a maker beside it."""
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n'
        f'[update]\nkeys = "{tmp_path / "maker" / "keys"}"\n'
    )
    return path
