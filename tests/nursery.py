"""Processes of the product, forked from one that has loaded what they need: milliseconds each.

What runs in them is the product's own (`edge.store.worker`, `edge.pixels.worker`, a command), with
what it is given by `edge.child`; only the interpreter is not started anew, and half a second of
loading not repeated for each of thousands of boxes. How the product starts them is known to tests
that ask for ``started_as_in_a_box``, and to all that start ``python -m edge``.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from unittest import mock

import edge
from edge.pixels import process as pixel_process
from edge.store import process as store_process

__all__ = ["COMMANDS", "INSTALLED", "LOADED", "Nursery", "forked", "in_use", "started"]

LOADED = ("edge.store.worker", "edge.pixels.worker")
"""What children are that a service starts."""
COMMANDS = ("edge.__main__", "edge.opening", "edge.admin.local")
"""What commands are, and stand on."""
INSTALLED = Path(__file__).parent / "installed"
_LONGEST = 64 * 1024
_MOST = 16
"""Descriptors that go with a message."""
_HIGH = 512
"""Descriptors from here on are in nobody's way."""


class Child:
    """As much of ``subprocess.Popen`` as is needed.

    Args:
        pid: Its number.
        status: A pipe on which its exit status comes when it has ended.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._waiting = threading.Lock()

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        # Its number is nobody else's before its status was told.
        if self.returncode is None and not select.select([self._status], [], [], 0)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        with self._waiting:
            if self.returncode is None:
                if not select.select([self._status], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a child", timeout or 0)
                self.returncode = int(os.read(self._status, 16) or b"-9")
                os.close(self._status)
        return self.returncode


class Nursery:
    """Asks for children.

    Args:
        asking: The other end of what ``_tend`` serves.
    """

    def __init__(self, asking: socket.socket) -> None:
        self._asking = asking
        self._lock = threading.Lock()

    def spawn(
        self,
        module: Sequence[str],
        arguments: Sequence[str],
        *,
        stdin: int | None = None,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """What ``edge.child.spawn`` does."""
        _, name, *first = module
        given = {number: number for number in descriptors}
        if stdin is not None:
            given[0] = stdin
        return self.bear(name, [*first, *arguments], given, environment or {}, Path("/"))

    def bear(
        self,
        module: str,
        arguments: Sequence[str],
        given: Mapping[int, int],
        environment: Mapping[str, str],
        folder: Path,
    ) -> Child:
        """Have a child whose ``main`` is called.

        Args:
            module: Where it is.
            arguments: Of it.
            given: Number of a descriptor there -> that here. Of all others there are but the
                standard ones, which lead nowhere.
            environment: What there is beside ours.
            folder: In which it works.
        """
        message = json.dumps([module, [*arguments], [*given], dict(environment), str(folder)])
        status, theirs = os.pipe()
        with self._lock:  # threads of many boxes ask
            socket.send_fds(self._asking, [message.encode()], [theirs, *given.values()])
            os.close(theirs)
            return Child(int(self._asking.recv(16)), status)


@contextlib.contextmanager
def started(loaded: Sequence[str] = LOADED) -> Iterator[Nursery]:
    """One in which nothing of this process is, but what is named was loaded."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        # One word, or whoever looks for such a process by its words would find this one.
        [sys.executable, "-m", "tests.nursery", str(theirs.fileno()), ",".join(loaded)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        process_group=0,
        # A test may be another user for a while; it lives longer, and serves the others.
        user=os.getuid(),
        cwd="/",
        env={
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{INSTALLED}{os.pathsep}{Path(edge.__file__).parents[1]}",
            # As pixel workers are given them: they count when numpy is loaded.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    theirs.close()
    try:
        yield Nursery(ours)
    finally:
        ours.close()
        process.wait()


@contextlib.contextmanager
def forked() -> Iterator[Nursery]:
    """One that is forked from this process, which has no other thread yet and has loaded all."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        _keep([0, 1, 2, theirs.fileno()])
        _tend(theirs)
    theirs.close()
    try:
        yield Nursery(ours)
    finally:
        ours.close()
        os.waitpid(pid, 0)


@contextlib.contextmanager
def in_use(spawn: Callable[..., object]) -> Iterator[None]:
    """As long as this lasts, services start the processes beside them so."""
    with (
        mock.patch.object(store_process, "spawn", spawn),
        mock.patch.object(pixel_process, "spawn", spawn),
    ):
        yield


def _tend(asked: socket.socket) -> None:
    """Fork a child for each message, and tell how each ended, until whoever asks is gone."""
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is not asked:
                    selector.unregister(ready.fileobj)
                    _tell_end(ready.fd, *ready.data)
                    continue
                message, descriptors, _, _ = socket.recv_fds(asked, _LONGEST, _MOST)
                if not message:
                    os._exit(0)
                pid = os.fork()
                if not pid:
                    _live(descriptors[1:], *json.loads(message))
                status, *given = descriptors
                for descriptor in given:
                    os.close(descriptor)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
                asked.send(str(pid).encode())


def _tell_end(descriptor: int, pid: int, status: int) -> None:
    _, ended = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os.close(status)
    os.close(descriptor)


def _live(
    given: list[int],
    module: str,
    arguments: list[str],
    numbers: list[int],
    environment: dict[str, str],
    folder: str,
) -> None:
    """Be the process that was asked for."""
    status: object = 1
    try:
        os.setpgid(0, 0)
        aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _HIGH) for descriptor in given]
        for descriptor, number in zip(aside, numbers, strict=True):
            os.dup2(descriptor, number)
        _keep([0, 1, 2, *numbers])
        os.chdir(folder)
        os.environ.update(environment)
        status = import_module(module).main(arguments)
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 - nothing of the nursery is to go on in it
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status if isinstance(status, int) else status is not None)


def _keep(numbers: Sequence[int]) -> None:
    """Close all other descriptors."""
    start = 0
    for number in [*sorted(set(numbers)), os.sysconf("SC_OPEN_MAX")]:
        if number > start:  # of an empty range the interpreter makes an endless one
            os.closerange(start, number)
        start = number + 1


def main(asked: str, loaded: str) -> None:
    """Load, and serve what comes over the socket."""
    program, modules = "edge.__main__", loaded.split(",")
    if program in modules:
        import_module(program)._leave_out_decoders()
    for each in modules:
        import_module(each)
    gc.freeze()  # what all of them share is not copied for being looked through
    _tend(socket.socket(fileno=int(asked)))


if __name__ == "__main__":
    main(*sys.argv[1:])
