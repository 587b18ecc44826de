"""Which process keeps what.

Owns the lists. Each call on them was seen in a process that did its work, or is one that the C
library and the interpreter may make at any time; each test of pixels and of the store runs under
them. What is not here is not missed: it fails, or ends the process.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from edge.cage import landlock
from edge.cage.entry import Cage
from edge.cage.rules import Argument, Rules

__all__ = ["pixels", "store"]

_LIVING: Final = frozenset(
    "read write readv writev close recvfrom sendto sendmsg"
    " munmap mremap madvise brk futex sched_yield sched_getaffinity membarrier"
    " getrandom getpid gettid clock_gettime clock_nanosleep nanosleep getrusage"
    " rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall"
    " set_robust_list rseq exit exit_group".split()
)
"""To answer over a socket, in memory of one's own, until the end."""
_FATAL: Final = frozenset(
    "execve execveat fork vfork clone"
    " socket socketpair connect bind listen accept accept4"
    " ptrace process_vm_readv process_vm_writev process_madvise"
    " pidfd_open pidfd_getfd pidfd_send_signal kill tgkill"
    " bpf userfaultfd perf_event_open io_uring_setup keyctl add_key request_key"
    " mount umount2 open_tree move_mount fsopen fsmount pivot_root chroot setns unshare"
    " open_by_handle_at memfd_create init_module finit_module delete_module"
    " kexec_load kexec_file_load reboot swapon swapoff setuid".split()
)
"""Nobody does these by mistake."""
_INT: Final = (1 << 32) - 1
_PROT_EXEC: Final = 4
_CLONE_THREAD: Final = 0x10000
_AT_EMPTY_PATH: Final = 0x1000
_NOT_EXECUTABLE: Final = (Argument(2, _PROT_EXEC, 0),)
_FILES: Final = frozenset(
    "openat rename renameat renameat2 fsync fdatasync ftruncate fcntl lseek fstat"
    " pread64 preadv preadv2 pwrite64 pwritev pwritev2".split()
)
"""Of the store; where they are, Landlock says."""


def pixels() -> Cage:
    """A process that turns bytes into bytes: no file, no network, no thread but its own."""
    return Cage(
        rules=Rules(
            allowed=_LIVING,
            within=_limited()
            # Each frame is granted its time; no other limit of it changes, and nobody else's.
            | {"prlimit64": (Argument(0, _INT, 0), Argument(1, _INT, resource.RLIMIT_CPU))},
            absent=frozenset({"clone3"}),
            fatal=_FATAL,
        ),
        limits={
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_NOFILE: 0,  # those that are open stay
        },
    )


def store(incoming: Path, shelves: Path) -> Cage:
    """A process that makes, renames and reads files in two folders, by several threads."""
    return Cage(
        rules=Rules(
            allowed=_LIVING | _FILES,
            within=_limited()
            | {
                "clone": (Argument(0, _CLONE_THREAD, _CLONE_THREAD),),
                # The C library asks so for the length of an open file.
                "newfstatat": (Argument(3, _INT, _AT_EMPTY_PATH),),
            },
            absent=frozenset({"clone3"}),  # its flags can't be seen; the C library asks by clone
            fatal=_FATAL,
        ),
        folders=(incoming, shelves),
        rights=landlock.STORE,
    )


def _limited() -> dict[str, tuple[Argument, ...]]:
    return {
        "mmap": _NOT_EXECUTABLE,
        "mprotect": _NOT_EXECUTABLE,
        "tgkill": (Argument(0, _INT, os.getpid()),),  # abort() signals the process itself
    }
