"""The edge as it is measured, and as it never runs: without its audit, without its checks.

What the product has no switch for is taken out from outside, by the module that is run.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.bench.program import START, Program, Web, environment, listens
from tests.bench.workplace import BenchError
from tests.ports import free_port

__all__ = [
    "CALLING",
    "EDGE",
    "GUARDED",
    "UNCHECKED",
    "UNRECORDED",
    "Edge",
    "Guarded",
    "Unchecked",
    "Unrecorded",
]

CALLING = "BENCH"
"""AE title of whoever sends and asks."""
EDGE = "edge"
GUARDED = "edge with every check"
UNCHECKED = "edge without its checks"
UNRECORDED = "edge without its audit"
"""These are no columns of the table: see ``access`` and ``audit``."""
_NAME, _PASSWORD = "reader", "correct horse battery staple"


class Edge:
    """The product, as ``edge serve`` runs it: sealed, fsynced, indexed, authorisation required.

    Args:
        folder: Holds configuration, log and data.
    """

    name = EDGE
    ae_title = "EDGE"
    module = "edge"
    """That is run."""
    auth = "required"
    """Whether anything has to be proved over HTTP."""
    unknown_peers = "accept"
    """What happens to who is not named."""
    peer = f'[[dimse.peer]]\nae_title = "{CALLING}"\nmay = ["store", "query", "retrieve"]\n'
    """Who is."""

    def __init__(self, folder: Path, _associations: int = 1) -> None:
        self._folder = folder
        self.config = folder / "edge.toml"
        self._http_port = free_port()
        self.dicom_port = free_port()
        self._token = ""
        self._program = Program(self.name, folder)
        self.config.write_text(
            f"[appliance]\n"
            f"data_dir = {json.dumps(str(folder / 'data'))}\n"
            f"[dimse]\n"
            f'listen = "127.0.0.1:{self.dicom_port}"\n'
            f'unknown_peers = "{self.unknown_peers}"\n'
            f"{self.peer}"
            f"[http]\n"
            f'listen = "127.0.0.1:{self._http_port}"\n'
            f'tls = "off"\n'
            f'auth = "{self.auth}"\n',
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

    def acquaint(self, destinations: Mapping[str, int]) -> None:
        """Have it know where these AE titles listen on loopback, from its next start on."""
        with self.config.open("a", encoding="utf-8") as file:
            for title, port in destinations.items():
                where = f'host = "127.0.0.1"\nport = {port}\n'
                file.write(f"[[dimse.peer]]\nae_title = {json.dumps(title)}\n{where}")

    def start(self) -> None:
        """Start ``edge serve``."""
        command = [sys.executable, "-m", self.module, "serve", "--config", str(self.config)]
        self._program.start(command, self._folder, self._answers)
        if not self._token and self.auth == "required":
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
                return reader.get("/readyz").status == 200 and listens(self.dicom_port)
        except (OSError, BenchError):
            return False

    def _run(self, command: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edge", command, "--config", str(self.config), *words],
            cwd=self._folder,
            env=environment(self._folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"edge {command}: {done.stderr[-2000:]}")
        return done.stdout.strip()


class Unrecorded(Edge):
    """The product without its audit."""

    name = UNRECORDED
    module = "tests.bench.unrecorded"


class Guarded(Edge):
    """The product as a clinic has it: who is not named stays outside, and people log in."""

    name = GUARDED
    unknown_peers = "reject"
    peer = f'{Edge.peer}host = "127.0.0.1"\n'

    def proofs(self) -> dict[str, Web]:
        """By what one may come in over HTTP -> how; to be asked for once."""
        code = self._run("user", "add", _NAME, "--role", "physician")
        words = base64.b64encode(f"{_NAME}:{_PASSWORD}".encode()).decode()
        return {
            "token": self.web,
            "session": Web(self.web.port, "", cookie=self._redeem(code)),
            "Basic": Web(self.web.port, f"Basic {words}"),
        }

    def _redeem(self, code: str) -> str:
        """Set a password by a code; the cookie of the session that begins with it."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.web.port}/login/redeem",
            json.dumps({"code": code, "password": _PASSWORD}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=START) as answer:
            return str(answer.headers["Set-Cookie"]).partition(";")[0]


class Unchecked(Edge):
    """The product without its checks of who may what: whoever comes is let in, and may anything."""

    name = UNCHECKED
    module = "tests.bench.unchecked"
    auth = "none"
    peer = ""
