"""Debian's Orthanc with its DICOMweb plugin, as a real archive beside the tests.

Owns one folder with configuration, log and data, and one process. Listens on loopback only, wants
a password, keeps what it has over ``stop`` and ``start``. Never touches an Orthanc it did not
start. Usable by contracts, journeys, peers and the bench alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.ports import free_port

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)
USER, PASSWORD = "edge", "a password of the tests"


def plugin() -> Path | None:
    """Where the DICOMweb plugin is installed."""
    return next((path for path in PLUGINS if path.exists()), None)


def missing() -> str:
    """What the machine lacks to run it; empty if nothing: ``pytest.mark.skipif(missing(), …)``."""
    if not PROGRAM.exists():
        return "needs Debian's package orthanc"
    return "" if plugin() else "needs Debian's package orthanc-dicomweb"


@dataclass
class Orthanc:
    """One server.

    Args:
        folder: Holds all that it writes; made if missing.
        settings: Laid over the configuration, such as ``{"OverwriteInstances": True}``.
        is_apart: Ctrl-C at the terminal is for who started it, and does not end it.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    ae_title: str = "ORTHANC"
    is_apart: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of its own REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Of its DICOMweb service."""
        return f"{self.url}/dicom-web"

    @property
    def auth(self) -> tuple[str, str]:
        """User and password."""
        return USER, PASSWORD

    @property
    def pid(self) -> int:
        """Of the running process, for those who measure it."""
        assert self.process is not None, "not started"
        return self.process.pid

    def start(self, *, seconds: float = 30.0) -> None:
        """Start, with what it had before, and wait until it answers."""
        assert self.process is None, "already started"
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        configuration = {
            "Name": "stand-in archive",
            "StorageDirectory": str(data),
            "IndexDirectory": str(data),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.ae_title,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowFind": True,
            "UnknownSopClassAccepted": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(plugin())],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "TcpNoDelay": True,
            "OverwriteInstances": False,
        } | self.settings
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, path],
                cwd=self.folder,
                env=os.environ | {"TCP_NODELAY": "1"},  # Debian's DCMTK: else 40 ms an instance
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self.is_apart,
            )
        self._wait_until_it_answers(seconds)

    def _wait_until_it_answers(self, seconds: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        with httpx.Client(auth=self.auth, trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    break
                try:
                    if client.get(f"{self.dicomweb}/studies?limit=1").is_success:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        self.stop()
        log = (self.folder / "orthanc.log").read_text(errors="replace")
        raise RuntimeError(f"Orthanc did not start:\n{log[-2000:]}")

    def stop(self) -> None:
        """Stop it, and wait; what it has stays in the folder."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    async def started(self) -> Orthanc:
        """``start`` without holding up the event loop."""
        await asyncio.to_thread(self.start)
        return self

    async def stopped(self) -> None:
        """``stop`` without holding up the event loop."""
        await asyncio.to_thread(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to its REST API, such as ``request("GET", "/instances")``."""
        with httpx.Client(auth=self.auth, trust_env=False, timeout=60) as client:
            answer = client.request(method, f"{self.url}{path}", **options)
        answer.raise_for_status()
        return answer

    def store(self, part10: bytes) -> None:
        """Put an instance in by its REST API, past DICOMweb."""
        self.request("POST", "/instances", content=part10)

    def sop_uids(self) -> list[str]:
        """The SOP Instance UIDs of all that it has, repeated if it has one twice."""
        instances = self.request("GET", "/instances?expand").json()
        return sorted(item["MainDicomTags"]["SOPInstanceUID"] for item in instances)
