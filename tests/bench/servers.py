"""What is measured: the edge, Orthanc and DCMTK's ``storescp``, each a process of its own.

Every server owns one folder for all that it writes, listens on loopback only, and keeps what it has
over ``stop`` and ``start``; ``program`` says what is promised of that.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.bench.edges import (
    CALLING,
    EDGE,
    GUARDED,
    UNCHECKED,
    UNRECORDED,
    Edge,
    Guarded,
    Unchecked,
    Unrecorded,
)
from tests.bench.program import START, Program, Web, listens
from tests.bench.workplace import BenchError
from tests.fakes import orthanc
from tests.ports import free_port

__all__ = [
    "CALLING",
    "EDGE",
    "GUARDED",
    "MADE",
    "ORTHANC",
    "SERVERS",
    "STORESCP",
    "UNCHECKED",
    "UNRECORDED",
    "WEB_SERVERS",
    "Edge",
    "Orthanc",
    "Server",
    "StoreScp",
    "Web",
]

ORTHANC, STORESCP = "Orthanc", "storescp"
WEB_SERVERS = (EDGE, ORTHANC)


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
        self._server.start(seconds=START)

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
        self._program = Program(self.name, folder)

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
        self._program.start(command, self._files.parent, lambda: listens(self.dicom_port))

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
MADE: dict[str, Callable[[Path, int], Server]] = {
    **SERVERS,
    GUARDED: Guarded,
    UNCHECKED: Unchecked,
    UNRECORDED: Unrecorded,
}
"""Those that have no column of their own, too."""
