"""What somebody would try who runs code of his own in a process of ours; by name."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import threading
from pathlib import Path

LIBRARY = ctypes.CDLL(None, use_errno=True)


def checked(answer):
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def by_number(number, *words):
    return checked(LIBRARY.syscall(*(ctypes.c_long(word) for word in (number, *words))))


def execute_memory():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def make_memory_executable():
    held = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(held))
    checked(LIBRARY.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC))


def connect():
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))


FAIL = {
    "read /etc/passwd": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "read its own memory": lambda: os.open("/proc/self/mem", os.O_RDWR),
    "write a file": lambda: os.open("/tmp/edge-attempt", os.O_WRONLY | os.O_CREAT, 0o600),
    "write a device": lambda: os.open("/dev/null", os.O_WRONLY),
    "list a folder": lambda: list(Path("/").iterdir()),
    "make a folder": lambda: Path("/tmp/edge-attempt").mkdir(),
    "remove a file": lambda: Path("/tmp/edge-attempt").unlink(),
    "make a link": lambda: Path("/tmp/edge-attempt").symlink_to("/etc/passwd"),
    "change a mode": lambda: Path("/tmp").chmod(0o777),
    "change its folder": lambda: os.chdir("/tmp"),
    "make a pipe": os.pipe,
    "raise its memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
    "raise its files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "raise the limit of its parent": lambda: resource.prlimit(
        os.getppid(), resource.RLIMIT_CPU, (1, 1)
    ),
    "be another user": lambda: os.setresuid(1, 1, 1),
    "have executable memory": execute_memory,
    "make memory executable": make_memory_executable,
    "have shared memory": lambda: checked(LIBRARY.shmget(0, 4096, 0o600)),
    "trace itself no more": lambda: checked(LIBRARY.prctl(4, 1, 0, 0, 0)),
}
"""These fail, and change nothing."""

FATAL = {
    "connect": connect,
    "make a pair of sockets": socket.socketpair,
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "start a program beside it": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "fork": os.fork,
    "trace its parent": lambda: checked(LIBRARY.ptrace(16, os.getppid(), None, None)),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "read its parent": lambda: checked(LIBRARY.process_vm_readv(os.getppid(), None, 0, None, 0, 0)),
    "have memory as a file": lambda: os.memfd_create("attempt"),
    "have namespaces": lambda: checked(LIBRARY.unshare(0x10000000)),
    "mount": lambda: checked(LIBRARY.mount(b"/", b"/mnt", b"", 4096, None)),
    "have rings": lambda: by_number(425, 1, 0),
}
"""These end the process."""

THREAD = {"start a thread": lambda: threading.Thread(target=signal.getsignal, args=(1,)).start()}
"""This one, too, where there are no threads."""


def attempt(name):
    """Try it; the error's number, or None if it worked."""
    try:
        {**FAIL, **FATAL, **THREAD}[name]()
    except OSError as error:
        return error.errno
    except ValueError:
        return errno.EPERM  # as Python says that of limits
    return None
