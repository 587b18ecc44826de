"""A service of its own process that may be locked, and the console that people stand before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.service import PATIENCE, Installation


class Console:
    """A terminal that somebody stands before."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self.name = os.ttyname(self._theirs)
        self._said = ""

    def read(self, pattern: str) -> str:
        """The first group of what is shown."""
        while not (found := re.search(pattern, self._said)):
            self._said += os.read(self._ours, 1000).decode()
        return found[1]

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


class Locked(Installation):
    """A service that may be locked."""

    def __init__(self, root: Path, keys: dict[str, object]) -> None:
        self.keys = keys
        super().__init__(root)

    def configure(self, *, dimse_port: int = 0, http_port: int = 0, more: str = "") -> None:
        super().configure(dimse_port=dimse_port, http_port=http_port, more=more)
        said = "\n".join(f"{name} = {value!r}" for name, value in self.keys.items())
        text = self.configuration.read_text()
        text = re.sub(r"\[keys\]\s+path = .*", f"[keys]\n{said}", text)
        self.configuration.write_text(text)

    async def run_up(self) -> None:
        """Start it, and wait until it is ready or locked."""
        self.begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = self._popen("serve", stdout=log, stderr=log)
        await self.until_said(r"(ready|locked): DICOM")

    async def until_said(self, pattern: str) -> str:
        """Wait for a line of the log since its start; what it says of ports is remembered."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            said = self.log.read_bytes()[self.begun :].decode()
            if found := re.search(pattern, said):
                self.begun += len(said[: found.start()].encode())
                line = said[found.start() :].partition("\n")[0]
                if ports := re.search(r"port (\d+).*HTTP on port (\d+)", line):
                    self.dimse_port, self.http_port = map(int, ports.groups())
                return line
            await asyncio.sleep(0.05)
        raise AssertionError(f"{pattern}: not said:\n{self.log.read_text()}")

    @contextlib.asynccontextmanager
    async def page(self, port: int = 0) -> AsyncIterator[httpx.AsyncClient]:
        at = f"http://127.0.0.1:{port or self.http_port}"
        async with httpx.AsyncClient(base_url=at, timeout=PATIENCE) as client:
            yield client

    async def unlock(self, text: str, *words: str) -> tuple[int, str]:
        """``edge key unlock``, with what somebody types."""
        secret = self.root / "typed"
        secret.write_text(text)
        option = "--key-file" if "--recovery" in words else "--file"
        ran = await self.run("key", "unlock", *words, option, str(secret))
        secret.unlink()
        return ran.status, ran.err

    def shown_to_others(self) -> bytes:
        """Arguments and environment of the service."""
        seen = Path(f"/proc/{self.process.pid}")
        return (seen / "cmdline").read_bytes() + (seen / "environ").read_bytes()

    async def studies(self) -> list[dict]:
        ran = await self.run("token", "create", "--role", "viewer", "--name", "a viewer")
        assert ran.status == 0, ran.err
        async with self.page() as client:
            headers = {"Authorization": f"Bearer {ran.out.strip()}"}
            answer = await client.get("/dicom-web/studies", headers=headers)
        return answer.json() if answer.status_code == 200 else []

    async def store(self, seed: int, count: int = 2) -> None:
        folder = self.root / f"ct{seed}"
        paths = samples.write_series(folder, count, rows=16, columns=16, seed=seed)
        assert await dcmsend(self.dimse_port, *paths) == {"Success": count}

    async def recovery_key(self) -> str:
        ran = await self.run("key", "recovery")
        assert ran.status == 0, ran.err
        return ran.out
