"""A place behind a slow line: a network namespace of its own, joined by a cable of 2 Mbit/s.

Owns the namespace and the pair of interfaces; the rate is the kernel's (``tbf``), each way. An
archive listens there with a socket that was made there; whoever connects from outside goes through
the cable. It is pulled at the far end, so that no packet looks for another way. Everything has a
name of its own and is gone at the end; nothing else of the machine is touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Self

__all__ = ["Namespace", "missing"]

_CLONE_NEWNET = 0x40000000
_PLACES = Path("/run/netns")


def missing() -> str:
    """What the machine lacks to make one; empty if nothing."""
    if os.geteuid() != 0:
        return "needs root, for a network namespace"
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"needs {program} of Debian's package iproute2"
    try:
        with Namespace():
            return ""
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        return f"this kernel or container allows no such network: {said[-1]}"


class Namespace:
    """One of them, while the block lasts.

    Args:
        rate: Of the cable each way, in the words of ``tc``.
    """

    def __init__(self, rate: str = "2mbit") -> None:
        self._rate = rate
        word = secrets.token_hex(3)
        self.name = f"edge-test-{word}"
        self.near, self._far = f"en{word}", f"ef{word}"
        # RFC 2544 keeps 198.18.0.0/15 for tests of lines: nothing else is there.
        subnet = f"198.18.{secrets.randbelow(256)}.{4 * secrets.randbelow(64)}".rpartition(".")
        self._addresses = [f"{subnet[0]}.{int(subnet[2]) + host}" for host in (1, 2)]

    @property
    def address(self) -> str:
        """Of whoever listens there."""
        return self._addresses[1]

    def __enter__(self) -> Self:
        try:
            _run("ip", "netns", "add", self.name)
            _run(
                *("ip", "link", "add", self.near, "type", "veth"),
                *("peer", "name", self._far, "netns", self.name),
            )
            for place, link, address in (
                ((), self.near, self._addresses[0]),
                (("-n", self.name), self._far, self._addresses[1]),
            ):
                _run("ip", *place, "address", "add", f"{address}/30", "dev", link)
                _run("ip", *place, "link", "set", link, "up")
                _run(
                    *("tc", *place, "qdisc", "add", "dev", link, "root"),
                    *("tbf", "rate", self._rate, "burst", "8kb", "latency", "100ms"),
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The pair goes with one end of it, whichever can be found.
        for words in (("link", "delete", self.near), ("netns", "delete", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                _run("ip", *words)

    def listen(self, port: int = 0) -> socket.socket:
        """A socket that listens there; it belongs there for good."""
        made: list[socket.socket] = []
        failed: list[BaseException] = []

        def make() -> None:
            # Of this thread alone, which ends with it.
            try:
                handle = os.open(_PLACES / self.name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(handle, _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(handle)
                made.append(socket.create_server((self.address, port), backlog=64))
            except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
                failed.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def pull(self) -> None:
        """Pull the cable."""
        _run("ip", "-n", self.name, "link", "set", self._far, "down")

    def plug(self) -> None:
        """Plug it in again."""
        _run("ip", "-n", self.name, "link", "set", self._far, "up")

    def carried_up(self) -> int:
        """Bytes that went there, with the heads of all packets."""
        return int(Path(f"/sys/class/net/{self.near}/statistics/tx_bytes").read_text())


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)
