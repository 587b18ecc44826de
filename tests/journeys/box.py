"""A whole appliance on loopback, with a viewer in front of it and, if wanted, a cloud behind it.

Owns the settings that journeys share: free ports, no TLS, short pauses. Everything in the box is
the product as it is; nothing here is a stand-in.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge import config, others
from edge.access.roles import Role
from edge.app import Appliance
from tests.fakes.orthanc import Orthanc
from tests.journeys.line import Line
from tests.journeys.viewer import Viewer

Archives = tuple[others.Archive, ...]

PATIENCE = 60.0
"""Seconds that anything here may take before a journey fails."""


def settings(
    folder: Path, cloud: Orthanc | Line | Archives | None = None, **sections: Any
) -> config.Config:
    """A configuration; *sections* replace fields: ``cache={"max_bytes": 1000}``."""
    archives: Archives = ()
    if isinstance(cloud, tuple):
        archives = cloud
    elif cloud is not None:
        user, password = cloud.auth
        auth = others.Auth("basic", user=user, password=password)
        archives = (others.Archive("cloud", cloud.dicomweb, auth=auth),)
    usual = config.Config(
        appliance=config.Appliance(name="box", data_dir=folder),
        dimse=config.Dimse(listen="127.0.0.1:0", unknown_peers="accept"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
        cloud=config.Cloud(archives),
        sync=config.Sync(sweep_minutes=60, retry_min_seconds=0.2, retry_max_seconds=1.0),
    )
    changed = {
        name: dataclasses.replace(getattr(usual, name), **fields)
        for name, fields in sections.items()
    }
    return dataclasses.replace(usual, **changed)


class Box:
    """A running appliance, as a test sees it."""

    def __init__(self, appliance: Appliance, viewer: Viewer) -> None:
        self.appliance = appliance
        self.viewer = viewer

    @property
    def dimse_port(self) -> int:
        return self.appliance.dimse_port

    async def token(self, role: Role | str) -> str:
        return await self.appliance.cache.tokens.create(Role(role), f"journey {role}")

    async def client(self, role: Role | str) -> Viewer:
        """Another one at the HTTP door."""
        return at_the_door(self.appliance, await self.token(role))

    async def summary(self):
        """The numbers that ``edge status`` shows."""
        return (await self.appliance.cache.status()).summary

    async def custody(self) -> Counter[str]:
        return Counter((await self.summary()).custody)

    async def custody_of(self, sop_uid: str) -> str:
        return (await self.rows("SELECT custody FROM instances WHERE sop_uid = ?", sop_uid))[0][0]

    async def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return await self.appliance.cache.database.read(sql, values)

    async def until(
        self,
        condition: Callable[[], Awaitable[object]],
        what: str,
        *,
        seconds: float = PATIENCE,
    ) -> None:
        """Wait for a condition, looking whenever something changed in the box."""
        try:
            async with asyncio.timeout(seconds):
                with self.appliance.changes.subscribe() as woken:
                    while not await condition():
                        await woken.wait(0.1)
        except TimeoutError:
            reasons = await self.rows(
                "SELECT custody, availability, reason, count(*) FROM instances GROUP BY 1, 2, 3"
            )
            raise AssertionError(f"{what}: not within {seconds:.0f} s; {reasons}") from None

    async def until_verified(self, count: int, *, seconds: float = PATIENCE) -> None:
        """Wait until the archive is known to have all *count* instances."""

        async def verified() -> bool:
            return await self.custody() == {"VERIFIED": count}

        await self.until(verified, f"{count} instances verified", seconds=seconds)

    async def until_offline(self) -> None:
        async def offline() -> bool:
            return any(not one.online for one in (await self.appliance.cache.status()).archives)

        await self.until(offline, "the box notices that the line is down")

    async def until_online(self) -> None:
        async def online() -> bool:
            return any(one.online for one in (await self.appliance.cache.status()).archives)

        await self.until(online, "the box notices that the line is up")

    def files(self) -> list[Path]:
        """The sealed objects on the disk, whole and arriving."""
        folder = self.appliance.cache.folder
        found = [*folder.glob("objects/**/*"), *folder.glob("incoming/**/*")]
        return sorted(path for path in found if path.is_file())

    async def is_empty(self) -> bool:
        """Whether nothing is in the box: no row, no file."""
        tables = ("studies", "series", "instances", "quarantine", "metadata", "person_names")
        rows = [(await self.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in tables]
        return not any(rows) and not self.files()


def at_the_door(appliance: Appliance, token: str) -> Viewer:
    return Viewer(
        f"http://127.0.0.1:{appliance.http_port}/dicom-web",
        headers={"Authorization": f"Bearer {token}"},
    )


@asynccontextmanager
async def running(configuration: config.Config) -> AsyncIterator[Box]:
    """Start an appliance; it stops at the end, within seconds."""
    async with Appliance(configuration) as appliance:
        token = await appliance.cache.tokens.create(Role.PHYSICIAN, "the viewer of a journey")
        async with at_the_door(appliance, token) as viewer:
            yield Box(appliance, viewer)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 10, "the appliance took long to stop"
