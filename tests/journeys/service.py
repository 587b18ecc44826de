"""``python -m edge`` in processes of its own, as it is installed; services are started as such.

Owns their folders: data, drop folder, home and temporary files lie side by side below one root, so
that a test can look through all that a box ever wrote.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import edge
from tests import program
from tests.fakes.orthanc import Orthanc
from tests.journeys.line import Line
from tests.ports import free_port

PATIENCE = 60.0
REPOSITORY = Path(edge.__file__).parent.parent


def _fill_the_disk() -> None:
    """No file can grow: writes fail as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@dataclass
class Command:
    """A command that ended."""

    status: int
    out: str
    err: str
    seconds: float


@dataclass
class Installation:
    """A configuration and its folders; commands are run with it."""

    root: Path
    cloud: Orthanc | Line | None = None
    dimse_port: int = 0
    http_port: int = 0
    log: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.log = self.root / "edge.log"
        for folder in (self.data, self.drop, self.temporary, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        self.configure()

    @property
    def data(self) -> Path:
        return self.root / "watched" / "data"

    @property
    def drop(self) -> Path:
        return self.root / "drop"

    @property
    def temporary(self) -> Path:
        return self.root / "watched" / "tmp"

    @property
    def home(self) -> Path:
        return self.root / "watched" / "home"

    @property
    def key(self) -> Path:
        return self.root / "root.key"

    @property
    def configuration(self) -> Path:
        return self.root / "edge.toml"

    def configure(self, *, dimse_port: int = 0, http_port: int = 0, more: str = "") -> None:
        """Write the configuration; *more* is added at its end."""
        archive = ""
        if self.cloud is not None:
            user, password = self.cloud.auth
            archive = f"""
                [[cloud.archive]]
                name = "cloud"
                url = "{self.cloud.dicomweb}"
                auth = {{ kind = "basic", user = "{user}", password = "{password}" }}
                """
        text = f"""
            [appliance]
            name = "box"
            data_dir = "{self.data}"
            [keys]
            path = "{self.key}"
            [dimse]
            listen = "127.0.0.1:{dimse_port}"
            unknown_peers = "accept"
            [http]
            listen = "127.0.0.1:{http_port}"
            tls = "off"
            [cache]
            reserve_bytes = 0
            [sync]
            retry_min_seconds = 0.2
            retry_max_seconds = 1.0
            [dropfolder]
            path = "{self.drop}"
            settle_seconds = 0.3
            {archive}{more}
            """
        self.configuration.write_text(text, encoding="utf-8")

    @classmethod
    def as_new(
        cls,
        root: Path,
        *,
        host: str = "127.0.0.1",
        tls: str = "off",
        name: str = "",
        more: str = "",
        own: str = "",
        says_dimse: bool = False,
    ) -> Installation:
        """One that nobody has set up, at ports that stay the same when it begins anew.

        Args:
            root: Of its folders.
            host: Where its page is.
            tls: Of the page.
            name: That the file of the machine gives it; else it has that of every box.
            more: At the end of that file.
            own: In the box's own file.
            says_dimse: The file of the machine says where it is called; else the box's own does.
        """
        made = cls(root, dimse_port=free_port(), http_port=free_port())
        dimse = f'[dimse]\nlisten = "127.0.0.1:{made.dimse_port}"\n'
        parts = [
            f'[appliance]\ndata_dir = "{made.data}"\n',
            f'name = "{name}"\n' if name else "",
            f'[keys]\npath = "{made.key}"\n',
            dimse if says_dimse else "",
            f'[http]\nlisten = "{host}:{made.http_port}"\ntls = "{tls}"\n',
            f"[cache]\nreserve_bytes = 0\n{more}",
        ]
        made.configuration.write_text("".join(parts))
        (made.data / "settings.toml").write_text(own if says_dimse else dimse + own)
        return made

    async def first_code(self) -> str:
        """By which the first person comes in."""
        made = await self.run("user", "first-code")
        found = re.search(r"\w{4}(?:-\w{4}){3}", made.out)
        assert found, made.err
        return found[0]

    def _environment(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if "EDGE" not in name}
        places = {"TMPDIR": self.temporary, "HOME": self.home, "EDGE_CONFIG": self.configuration}
        environ |= {name: str(place) for name, place in places.items()}
        installed = REPOSITORY / "tests" / "installed"
        environ["PYTHONPATH"] = f"{installed}{os.pathsep}{REPOSITORY}"
        return environ

    def _popen(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "edge", *words]
        return subprocess.Popen(command, cwd=self.home, env=self._environment(), **options)

    def command(self, *words: str, disk_is_full: bool = False) -> Command:
        """Run a command to its end, if told so without a byte that it can write."""
        began = time.monotonic()
        if disk_is_full:
            status, out, err = self._on_full_disk(*words)
        else:
            ran = program.run(*words, environment=self._environment(), folder=self.home)
            status, out, err = ran.returncode, ran.stdout, ran.stderr
        return Command(status, out, err, time.monotonic() - began)

    def _on_full_disk(self, *words: str) -> tuple[int, str, str]:
        process = self._popen(
            *words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_fill_the_disk,
        )
        try:
            out, err = process.communicate(timeout=2 * PATIENCE)
        finally:
            process.kill()
        return process.returncode, out.decode(), err.decode()

    async def run(self, *words: str, disk_is_full: bool = False) -> Command:
        """``command`` without holding up the event loop."""
        return await asyncio.to_thread(self.command, *words, disk_is_full=disk_is_full)

    async def start(self) -> None:
        """Start ``edge serve`` and wait until it is ready."""
        begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = self._popen("serve", stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            said = self.log.read_bytes()[begun:].decode()
            if ready := re.search(r"ready: .* port (\d+), HTTP on port (\d+)", said):
                self.dimse_port, self.http_port = map(int, ready.groups())
                return
            await asyncio.sleep(0.05)
        self.kill()
        raise AssertionError(f"edge serve did not start:\n{self.log.read_text()}")

    async def stop(self, number: int = signal.SIGTERM) -> Command:
        """Send it a signal and wait for its end."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            status = await asyncio.to_thread(self.process.wait, PATIENCE)
        finally:
            self.kill()
        return Command(status, "", self.log.read_text(), time.monotonic() - began)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def open_files(self) -> dict[str, bytes]:
        """What regular files ``edge serve`` has open, those that no folder shows any more, too.

        Not those of the drop folder, where files lie as they were put, and not the memory that the
        service shares with its store's process: like any memory, it is on no disk.
        """
        assert self.process is not None
        found: dict[str, bytes] = {}
        if os.geteuid():
            return found  # nobody but root may look: the service hides from its own user, too
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                name = str(entry.readlink())
                ours = name != str(self.log) and not name.startswith((str(self.drop), "/memfd:"))
                if ours and entry.is_file():
                    found[name] = entry.read_bytes()
            except OSError:
                continue  # It was closed meanwhile.
        return found
