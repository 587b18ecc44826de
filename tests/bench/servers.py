"""What is measured: the edge, Orthanc and DCMTK's ``storescp``, each a process of its own.

Every server owns one folder for all that it writes, listens on loopback only, and keeps what it has
over ``stop`` and ``start``. Promises that starting is bounded in time, that it has returned only
when the server answers, and that after ``stop`` the process has ended. Never touches a process that
it did not start.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.bench.reader import Reader
from tests.bench.workplace import ROOT, BenchError
from tests.fakes import orthanc
from tests.ports import free_port

__all__ = [
    "CALLING",
    "EDGE",
    "ORTHANC",
    "SERVERS",
    "STORESCP",
    "WEB_SERVERS",
    "Edge",
    "Orthanc",
    "Server",
    "StoreScp",
    "Web",
]

CALLING = "BENCH"
"""AE title of whoever sends and asks."""
EDGE, ORTHANC, STORESCP = "edge", "Orthanc", "storescp"
WEB_SERVERS = (EDGE, ORTHANC)

_START = 30.0
_STOP = 30.0


@dataclass(frozen=True, slots=True)
class Web:
    """Where and how a server is asked over HTTP."""

    port: int
    authorization: str

    def reader(self, *, seconds: float = 120.0) -> Reader:
        """A new connection, made when it is first used."""
        headers = {"Authorization": self.authorization} if self.authorization else {}
        return Reader(self.port, headers, seconds=seconds)


class Server(Protocol):
    """A receiver of C-STORE that is measured."""

    @property
    def name(self) -> str:
        """As it stands above its column."""
        ...

    @property
    def ae_title(self) -> str:
        """That a modality calls it by."""
        ...

    @property
    def dicom_port(self) -> int:
        """On loopback."""
        ...

    @property
    def pid(self) -> int:
        """Of the running process."""
        ...

    @property
    def web(self) -> Web | None:
        """Its HTTP server, with DICOMweb below ``/dicom-web``; None if it has none."""
        ...

    def start(self) -> None:
        """Start it, with what it had before, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it and wait; no error if it is not running."""
        ...

    def discard(self) -> None:
        """End it at once, as what it has is not needed any more; no error if it is not running."""
        ...

    def count(self) -> int:
        """Instances that it has."""
        ...


class _Program:
    """One child process, its words in a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self._name} is not running"
        return self._process.pid

    def start(self, command: list[str], folder: Path, answers: Callable[[], bool]) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + _START
            while time.monotonic() < deadline and self._process.poll() is None:
                if answers():
                    return
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        self.stop()
        said = self._log.read_text(encoding="utf-8", errors="replace")
        raise BenchError(f"{self._name} did not start:\n{said[-2000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _environment(folder: Path) -> dict[str, str]:
    """Ours, less what would configure an edge, and with what DCMTK needs to be comparable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    kept |= {"TCP_NODELAY": "1", "PYTHONPATH": str(ROOT)}
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        # An installed edge is compiled already; compiling at every start would count as its memory.
        kept["PYTHONPYCACHEPREFIX"] = str(folder.parent / "compiled")
    return kept


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Edge:
    """The product, as ``edge serve`` runs it: sealed, fsynced, indexed, authorisation required.

    Args:
        folder: Holds configuration, log and data.
    """

    name = EDGE
    ae_title = "EDGE"

    def __init__(self, folder: Path, _associations: int = 1) -> None:
        self._folder = folder
        self.config = folder / "edge.toml"
        self._http_port = free_port()
        self.dicom_port = free_port()
        self._token = ""
        self._program = _Program(self.name, folder)
        self.config.write_text(
            f"[appliance]\n"
            f"data_dir = {json.dumps(str(folder / 'data'))}\n"
            f"[dimse]\n"
            f'listen = "127.0.0.1:{self.dicom_port}"\n'
            f'unknown_peers = "accept"\n'
            f"[[dimse.peer]]\n"
            f'ae_title = "{CALLING}"\n'
            f'may = ["store", "query", "retrieve"]\n'
            f"[http]\n"
            f'listen = "127.0.0.1:{self._http_port}"\n'
            f'tls = "off"\n'
            f'auth = "required"\n',
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._program.pid

    @property
    def web(self) -> Web:
        """With the token of an administrator, once there is one."""
        return Web(self._http_port, f"Bearer {self._token}" if self._token else "")

    def start(self) -> None:
        """Start ``edge serve``."""
        command = [sys.executable, "-m", "edge", "serve", "--config", str(self.config)]
        self._program.start(command, self._folder, self._answers)
        if not self._token:
            # The command line makes tokens only where a box has been started before.
            self._token = self._run("token", "create", "--role", "admin")

    def stop(self) -> None:
        """Stop it and wait."""
        self._program.stop()

    def discard(self) -> None:
        """End it at once."""
        self._program.discard()

    def count(self) -> int:
        """Instances that it has."""
        with self.web.reader() as reader:
            answer = reader.get("/api/v1/status", keep=True)
        return int(json.loads(answer.body)["instances"])

    def _answers(self) -> bool:
        try:
            with self.web.reader(seconds=5) as reader:
                return reader.get("/readyz").status == 200 and _listens(self.dicom_port)
        except (OSError, BenchError):
            return False

    def _run(self, command: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edge", command, "--config", str(self.config), *words],
            cwd=self._folder,
            env=_environment(self._folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"edge {command}: {done.stderr[-2000:]}")
        return done.stdout.strip()


class Orthanc:
    """Debian's Orthanc with SQLite and fsync, as its package comes.

    A longer PDU than its default was tried, and made it no faster.
    """

    name = ORTHANC

    def __init__(self, folder: Path, _associations: int = 1) -> None:
        if missing := orthanc.missing():
            raise BenchError(missing)
        self._server = orthanc.Orthanc(folder, http_port=free_port(), dicom_port=free_port())
        self.ae_title = self._server.ae_title
        self.dicom_port = self._server.dicom_port

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._server.pid

    @property
    def web(self) -> Web:
        """With its password."""
        words = ":".join(self._server.auth).encode()
        return Web(self._server.http_port, f"Basic {base64.b64encode(words).decode()}")

    @property
    def auth(self) -> tuple[str, str]:
        """User and password."""
        return self._server.auth

    def request(self, method: str, path: str, **options: Any) -> Any:
        """What its own REST API answers, as JSON."""
        return self._server.request(method, path, **options).json()

    def start(self) -> None:
        """Start it."""
        self._server.start(seconds=_START)

    def stop(self) -> None:
        """Stop it and wait."""
        self._server.stop()

    def restart(self, **settings: object) -> None:
        """Stop it, and start it with these laid over its configuration until the next time."""
        self._server.stop()
        self._server.settings = settings
        self.start()

    def discard(self) -> None:
        """End it at once; stopping takes it seconds."""
        if self._server.process is not None:
            self._server.process.kill()
            self._server.stop()

    def count(self) -> int:
        """Instances that it has."""
        return int(self._server.request("GET", "/statistics").json()["CountInstances"])


class StoreScp:
    """DCMTK's receiver: plain files, no fsync, no index.

    Args:
        folder: Holds the files.
        associations: More than one at a time need a process for each.
    """

    name = STORESCP
    ae_title = "STORESCP"
    web = None

    def __init__(self, folder: Path, associations: int = 1) -> None:
        self._files = folder / "files"
        self._forks = associations > 1
        self.dicom_port = free_port()
        self._program = _Program(self.name, folder)

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return self._program.pid

    def start(self) -> None:
        """Start it."""
        self._files.mkdir(exist_ok=True)
        command = [
            "storescp",
            *("--quiet", "-B", "--aetitle", self.ae_title),
            *(("--fork",) if self._forks else ()),
            *("--output-directory", str(self._files), str(self.dicom_port)),
        ]
        self._program.start(command, self._files.parent, lambda: _listens(self.dicom_port))

    def stop(self) -> None:
        """Stop it and wait."""
        self._program.stop()

    def discard(self) -> None:
        """End it at once."""
        self._program.discard()

    def count(self) -> int:
        """Files that it wrote."""
        return sum(1 for _ in self._files.iterdir())


SERVERS: dict[str, Callable[[Path, int], Server]] = {
    EDGE: Edge,
    ORTHANC: Orthanc,
    STORESCP: StoreScp,
}
"""Name -> how to make one for a folder and a number of associations; in the table's order."""
