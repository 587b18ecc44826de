"""A new box that takes files, and whose machine carries out whatever it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.own_settings import OwnSettings
from edge.crypto.secrets import PURPOSE, seal_secret
from edge.loading import load
from edge.opening import Cache
from edge.provision.taking import Taking


@pytest.fixture
async def cache(tmp_path):
    """A box that was started once, and its file."""
    file = tmp_path / "edge.toml"
    file.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[page]\nlanguage = "fr"\n')
    known = replace(
        await asyncio.to_thread(load, file, {}),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        appliance=config.Appliance(data_dir=tmp_path / "box"),
    )
    async with Appliance(known):
        pass
    async with Cache(known) as opened:
        yield opened


@pytest.fixture
def wishes():
    return []


@pytest.fixture
def box(cache, wishes, tmp_path):
    """Takes files; its machine carries out whatever it is asked."""

    async def machine(wish):
        wishes.append(wish)

    def box(is_up=lambda settings: True, machine=machine, places=None, restorer=None):
        seal = partial(seal_secret, key=cache.keys.derive(PURPOSE))
        own = OwnSettings(tmp_path / "edge.toml", cache.folder, seal, {})
        users = cache.users
        return Taking(
            cache.folder,
            users,
            own,
            machine=machine,
            is_up=is_up,
            patience=0.1,
            apart=0.0,
            places=places,
            restorer=restorer,
        )

    return box
