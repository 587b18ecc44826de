"""Another box's files, staged beside those of one that runs."""

from __future__ import annotations

import asyncio

from edge.cache import replacing
from edge.cache.backup import Backups
from edge.crypto.escrow import Escrow
from edge.crypto.recovery import RecoveryKey
from edge.loading import load
from edge.provision.file import read_setup
from edge.provision.journal import Provisioned
from edge.provision.restoring import Restoring

KEY = RecoveryKey(bytes(range(32)))
TABLE = f'[setup.restore]\nkey = "{" ".join(KEY.to_groups())}"\nfile = "backup.edge"\n'


def files(cache):
    return sorted((cache.folder / "restoring").rglob("*"))


async def staged(cache, tmp_path):
    file = tmp_path / "edge.toml"
    config = await asyncio.to_thread(load, file, {})
    await asyncio.to_thread(Escrow(cache.folder, cache.keys).keep, KEY.recipient, 1.0)
    sealed, _ = await Backups(config, file, cache.keys, cache.database, environ={}).make()
    made = Restoring(config, file, cache.database, lambda _: sealed)
    await made.stage(read_setup(TABLE, "edge.toml"), Provisioned("stick", 1.0, "digest"))
    return made


async def test_a_start_before_it_is_decided_takes_none_of_the_files(cache, tmp_path):
    """Before, an empty box was what had that one's name and place, and no key was left."""
    restoring = await staged(cache, tmp_path)
    before = await asyncio.to_thread(files, cache)
    assert not await asyncio.to_thread(replacing.begin, cache.folder)
    assert before == await asyncio.to_thread(files, cache)
    assert before
    await restoring.decide()
    assert (await asyncio.to_thread(replacing.read, cache.folder)).step == "ready"


async def test_what_was_dropped_is_gone(cache, tmp_path):
    restoring = await staged(cache, tmp_path)
    await restoring.drop()
    assert not await asyncio.to_thread(files, cache)
