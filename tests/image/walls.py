"""Run as the service is, behind the walls of its unit: what it may, and what it may not.

Prints one line for each attempt: its name, and ``done`` or the error.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARY = ctypes.CDLL(None, use_errno=True)


def checked(answer):
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(folder):
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x")


def execute(folder):
    path = Path(folder, "attempt")
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    try:
        subprocess.run([path], check=True)
    finally:
        path.unlink()


def gain():
    assert "NoNewPrivs:\t1" in Path("/proc/self/status").read_text()
    raise PermissionError


def dump():
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    raise PermissionError


def low_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.getsockname()


def load_all():
    """Nothing of what may run is kept from running by memory that can't be code."""
    for name in ("webauthn", "OpenSSL.crypto", "segno", "jwt", "openjpeg", "sqlcipher3", "numpy"):
        importlib.import_module(name)


MAY = {
    "load every package": load_all,
    "write its data": lambda: write("/var/lib/edge"),
    "write /tmp": lambda: write("/tmp"),
    "listen": low_port,
    "start a program of the system": lambda: subprocess.run(["/usr/bin/true"], check=True),
}


def change(folder):
    """Whoever owns it: the file system itself says no."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise PermissionError


def allow_programs(folder):
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise PermissionError


READ_ONLY = ("/", "/etc", "/usr", "/usr/bin", "/opt/edge", "/var", "/var/lib", "/run", "/root")
MAY_NOT = {
    **{f"change {folder}": lambda folder=folder: change(folder) for folder in READ_ONLY},
    **{
        f"have programs in {folder}": lambda folder=folder: allow_programs(folder)
        for folder in ("/var/lib/edge", "/tmp", "/var/tmp")
    },
    "write /dev/shm": lambda: write("/dev/shm"),
    "read homes": lambda: list(Path("/root").iterdir()),
    "see other processes": lambda: Path("/proc/1/status").read_text(),
    "see disks": lambda: Path("/dev/sda").read_bytes() if Path("/dev/sda").exists() else gain(),
    "execute its data": lambda: execute("/var/lib/edge"),
    "execute /tmp": lambda: execute("/tmp"),
    "gain privileges": gain,
    "leave a core dump": dump,
    "have raw sockets": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "have packet sockets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "have netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "mount": lambda: checked(LIBRARY.mount(b"/tmp", b"/tmp", None, 4096, None)),
    "have namespaces": lambda: checked(LIBRARY.unshare(0x10000000)),
    "be another user": lambda: os.setuid(0),
    "trace": lambda: checked(LIBRARY.ptrace(16, os.getppid(), None, None)),
    "set the clock": lambda: checked(LIBRARY.settimeofday(ctypes.create_string_buffer(16), None)),
    "change kernel settings": lambda: Path("/proc/sys/kernel/hostname").write_text("x"),
    "load BPF": lambda: checked(LIBRARY.syscall(321, 0, None, 0)),
    "have executable memory": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
}


def attempt(call):
    try:
        call()
    except (OSError, MemoryError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"


if __name__ == "__main__":
    for name, call in {**MAY, **MAY_NOT}.items():
        print(f"{name}: {attempt(call)}", flush=True)
    sys.exit(0)
