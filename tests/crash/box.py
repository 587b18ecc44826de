"""What the crash tests share: a box, what is sent to it, and what must be true afterwards."""

from __future__ import annotations

import asyncio

from edge import config, others
from tests.samples import ct_series

SAMPLES = list(ct_series(2, rows=96, columns=96))


def settings(folder, *, archive=None) -> config.Config:
    archives = () if archive is None else (others.Archive(name="cloud", url=archive.url),)
    return config.Config(
        appliance=config.Appliance(data_dir=folder),
        dimse=config.Dimse(listen="127.0.0.1:0", unknown_peers="accept"),
        http=config.Http(listen="127.0.0.1:0", tls="off", auth="none"),
        cache=config.Cache(reserve_bytes=0),
        cloud=config.Cloud(archive=archives),
        sync=config.Sync(retry_min_seconds=0.05, retry_max_seconds=0.2),
    )


async def contents(box) -> dict[str, bytes]:
    """Every data set on the box, by SOP Instance UID."""
    found = {}
    for entry in await box.retrieval.instances(SAMPLES[0].ref.study_uid):
        async with box.retrieval.open_instance(entry) as instance:
            data = b"".join([piece async for piece in instance.stream()])
        found[entry.ref.sop_uid] = data
    return found


def dataset_bytes(part10: bytes) -> bytes:
    """What is behind preamble and group 0002, whose length stands in its first element."""
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


async def everything_is_safe(box) -> None:
    """Wait until the archive vouches for all that the box has."""
    async with asyncio.timeout(30):
        with box.changes.subscribe() as woken:
            while set((await box.cache.status()).summary.custody) - {"VERIFIED"}:
                await woken.wait(0.2)
