"""Root's hands in a machine on which nobody can log in.

Owns a port of loopback, at which a unit calls that systemd got through the firmware's tables: which
is how who runs a virtual machine, and nobody else, tells it what it shall do. Runs one program
after the other.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import Any, Self

from tests.image.machine import HOST

__all__ = ["Hands"]

_GUEST = """
import base64, json, os, socket, subprocess, time
while True:
    try:
        line = socket.create_connection(({host!r}, {port}), 30)
        line.settimeout(None)
        file = line.makefile('rwb')
        for said in file:
            said = json.loads(said)
            done = subprocess.run(
                said['words'],
                input=base64.b64decode(said['said']),
                env={{**os.environ, **said['environment']}},
                capture_output=True,
            )
            out, err = (base64.b64encode(each).decode() for each in (done.stdout, done.stderr))
            file.write(json.dumps([done.returncode, out, err]).encode() + b'\\n')
            file.flush()
    except OSError:
        pass
    time.sleep(1)
"""


class Hands:
    """In one machine at a time; the next may be another, or the same after a start.

    Use ``Machine(…, units=hands.units, dropins=hands.dropins)``.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._came = threading.Condition()
        self._line: tuple[socket.socket, Any] | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with self._came:
                self._line = connection, connection.makefile("rwb")
                self._came.notify_all()

    @property
    def units(self) -> dict[str, str]:
        """For the machine that they shall be in."""
        port = self._server.getsockname()[1]
        guest = base64.b64encode(_GUEST.format(host=HOST, port=port).encode()).decode()
        start = f"/usr/bin/python3 -c \"import base64; exec(base64.b64decode('{guest}'))\""
        return {"test-hands.service": f"[Service]\nExecStart={start}\nRestart=always\n"}

    @property
    def dropins(self) -> dict[str, str]:
        """For the same."""
        return {"multi-user.target": "[Unit]\nWants=test-hands.service\n"}

    def run(
        self,
        *words: str,
        said: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float = 600,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program there; how that went.

        Raises:
            ConnectionError: The machine ended meanwhile.
        """
        with self._came:
            assert self._came.wait_for(lambda: self._line, seconds), "nobody called"
            assert self._line is not None
            connection, line = self._line
        told = {
            "words": words,
            "said": base64.b64encode(said).decode(),
            "environment": dict(environment or {}),
        }
        try:
            connection.settimeout(seconds)
            line.write(json.dumps(told).encode() + b"\n")
            line.flush()
            answer = line.readline()
        except OSError:
            answer = b""
        if not answer:
            raise ConnectionError(f"the machine ended while it ran {words[0]}")
        status, out, err = json.loads(answer)
        return subprocess.CompletedProcess(
            words, status, base64.b64decode(out), base64.b64decode(err)
        )

    def let_go(self) -> None:
        """Of the machine, which ends: who calls next is another start of it.

        A program that runs is not waited for any longer: nobody tells that its machine is gone.
        """
        with self._came:
            if self._line is not None:
                with contextlib.suppress(OSError):
                    self._line[0].shutdown(socket.SHUT_RDWR)
            self._line = None

    def must(self, *words: str, **more: Any) -> str:
        """Run a program that shall succeed; what it printed."""
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.decode(errors="replace")
