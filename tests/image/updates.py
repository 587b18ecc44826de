"""Updates of a machine in QEMU: a server that has them, and what is asked about them."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge.updates.signing import main
from tests.image.machine import BUILD, Machine

__all__ = ["NEWER", "Updates", "deeds", "root_hash", "server", "until", "update"]

NEWER = BUILD / "newer"
"""A later build, which ``scripts/test-image`` makes."""
PATIENCE = 2400.0


class _Ranged(SimpleHTTPRequestHandler):
    """A web server that knows ranges, as every one does that updates are put on."""

    _left: int | None = None

    def send_head(self) -> Any:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        begin, end = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end}/{size}")
        self.send_header("Content-Length", str(end - begin + 1))
        self.end_headers()
        file = path.open("rb")
        file.seek(begin)
        self._left = end - begin + 1
        return file

    def copyfile(self, source: Any, outputfile: Any) -> None:
        left = self._left
        while piece := source.read(65536 if left is None else min(65536, left)):
            outputfile.write(piece)
            left = None if left is None else left - len(piece)

    def log_message(self, *_: Any) -> None:
        pass


class Updates:
    """A folder of them, served at a port of loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    def publish(
        self, build: Path, version: str, uki: Path | None = None, root: Path | None = None
    ) -> Path:
        """Make an update of a build; another kernel and root may be in it."""
        notes = self._folder / "notes"
        notes.write_text("Another build.")
        uki = uki or build / "edge.efi"
        words = ["make", "--version", version, "--minimum", "0.0.1", "--machine", "x86-64"]
        words += ["--root", str(root or build / "edge.root.raw"), "--root-hash", root_hash(uki)]
        words += ["--verity", str(build / "edge.verity.raw"), "--uki", str(uki)]
        words += ["--notes", str(notes), "--key", str(BUILD / "signing.key")]
        assert main([*words, "--into", str(self._folder)]) == 0
        return self._folder / f"{version}-x86-64.edgeupdate"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Updates]:
    """Serve a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranged, directory=str(folder))) as made:
        threading.Thread(target=made.serve_forever, args=(0.1,), daemon=True).start()
        yield Updates(folder, made.server_port)
        made.shutdown()


def root_hash(uki: Path) -> str:
    """By which what starts it knows its root."""
    found = re.search(rb"roothash=([0-9a-f]{64})", uki.read_bytes())
    assert found, uki
    return found[1].decode()


def update(box: Machine, act: str = "", body: Any = None, token: str = "") -> Any:
    """Ask the API about updates."""
    method = "GET" if body is None else "POST"
    said = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    status, answer = box.ask(
        f"/api/v1/update{act}", method=method, body=said, headers=headers, token=token, seconds=120
    )
    assert status == 200, answer
    return json.loads(answer)


def until(
    box: Machine, condition: Callable[[Any], bool], version: str = "", seconds: float = PATIENCE
) -> Any:
    """Wait until it holds for how it stands; the machine may start anew meanwhile.

    Ends at once where the version has failed that it is about.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            now = update(box)
        except (OSError, AssertionError) as error:
            now = {"error": str(error)}
        if "error" not in now and condition(now):
            return now
        failed = (now.get("failure") or {}).get("version")
        assert not version or failed != version, (now, box.console[-4000:])
        assert time.monotonic() < deadline, (now, box.console[-4000:])
        time.sleep(2)


def deeds(box: Machine) -> list[tuple[str, str]]:
    """What was done about versions: each with what, the oldest first."""
    return [(one["version"], one["deed"]) for one in update(box, "/history")["entries"]][::-1]
