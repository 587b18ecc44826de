"""A box all of which lies on one disk: data, configuration, log, and whatever it leaves behind."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

from edge.crypto.keys import KeyRing
from edge.crypto.providers import Given
from edge.crypto.secrets import PURPOSE
from edge.loading import load
from edge.opening import custodian_of
from tests.journeys.disk import Disk, memory
from tests.journeys.needles import Needles
from tests.journeys.people import Browser
from tests.journeys.service import Command
from tests.journeys.test_locked_box import Locked
from tests.journeys.viewer import Viewer

PASSPHRASE = "nine lanterns over a frozen harbour"


class Lived(Locked):
    """It; only the folder that images are dropped into is elsewhere.

    Args:
        root: Where its disk is mounted as ``watched``.
        disk: That one.
    """

    def __init__(self, root: Path, disk: Disk) -> None:
        self.disk = disk
        (root / "watched" / "etc").mkdir()
        self.memory_before: list[bytes] = []
        """Of the service that nobody had told anything yet."""
        super().__init__(root, {"provider": "passphrase"})
        self.log = root / "watched" / "edge.log"

    @property
    def configuration(self) -> Path:
        return self.root / "watched" / "etc" / "edge.toml"

    def configure(self, *, dimse_port: int = 0, http_port: int = 0, more: str = "") -> None:
        super().configure(dimse_port=dimse_port, http_port=http_port, more=more)
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace('tls = "off"', 'tls = "auto"'))

    async def open(self) -> None:
        await self.run_up()
        self.memory_before = self.memory_before or [*memory(self.process.pid)]
        assert (await self.unlock(PASSPHRASE))[0] == 0
        await self.until_said("ready: DICOM")

    async def done(self, *words: str) -> Command:
        ran = await self.run(*words)
        assert ran.status == 0, ran
        return ran

    def sealed(self, secret: str) -> str:
        """As it may stand in the configuration."""
        pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        process = self._popen("secret", "seal", **pipes)
        out, _ = process.communicate(secret.encode(), timeout=60)
        assert out.startswith(b"sealed:")
        return out.decode().strip()

    @asynccontextmanager
    async def browsing(self):
        browser = Browser(self.data, self.http_port)
        async with browser.http:
            yield browser

    @asynccontextmanager
    async def viewer(self, **headers: str):
        trusted = ssl.create_default_context(cafile=str(self.data / "tls" / "ca.crt"))
        base = f"https://localhost:{self.http_port}/dicom-web"
        async with Viewer(base, headers=headers, verify=trusted) as viewer:
            yield viewer


def keys_of(box: Lived, needles: Needles) -> None:
    """Every key there is: who has the passphrase can have them."""
    custodian = custodian_of(load(box.configuration))
    root = custodian.open_by_passphrase(bytearray(PASSPHRASE.encode()), first_start=False)
    needles.bytes("root secret", root)
    ring = KeyRing(box.data / "keys.db", Given(root), may_create=False, owned=False)
    for purpose in ("index", "audit", "tls", PURPOSE):
        needles.bytes(f"key of {purpose}", ring.derive(purpose))
    ids = ring.key_ids()
    assert len(ids) >= 4
    for one in ids:
        needles.bytes("key of a study", ring.study_key(one).secret)
    ring.close()


async def until(condition) -> None:
    async def met():
        return condition()

    await until_true(met)


async def until_true(condition) -> None:
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110 - it comes true in another process
            await asyncio.sleep(0.1)
