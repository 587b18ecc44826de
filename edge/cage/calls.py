"""The numbers of system calls, on the two processors that boxes have.

Owns which calls have a name here; any other is one that no policy lets through, so it needs none.
As in asm/unistd_64.h (x86-64) and asm-generic/unistd.h (AArch64); None where there is none.
"""

from __future__ import annotations

import platform
import struct
import sys
from dataclasses import dataclass
from typing import Final

__all__ = ["AARCH64", "X86_64", "Machine", "this_machine"]

_NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    # bytes that come and go
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "lseek": (8, 62),
    "close": (3, 57),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    # files and folders
    "openat": (257, 56),
    "open": (2, None),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "fcntl": (72, 25),
    # memory
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    # threads, time and signals
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "clone": (56, 220),
    "clone3": (435, 435),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "getrusage": (98, 165),
    "prlimit64": (302, 261),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "tgkill": (234, 131),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # what nothing in a cage does by mistake
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "setuid": (105, 146),
    # by which the cage is closed
    "seccomp": (317, 277),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor, as the kernel tells filters of it."""

    name: str
    """As uname says."""
    arch: int
    """``AUDIT_ARCH_…`` (linux/audit.h)."""
    foreign_bit: int
    """Set in numbers of calls of another kind that it knows beside its own; 0 if there is none."""
    _column: int

    def number(self, name: str) -> int | None:
        """Of a call; None if this processor has none of this name."""
        return _NUMBERS[name][self._column]


X86_64: Final = Machine("x86_64", 0xC000003E, 0x40000000, 0)
"""Its other kind is x32."""
AARCH64: Final = Machine("aarch64", 0xC00000B7, 0, 1)


def this_machine() -> Machine | None:
    """The one that this runs on; None if there is no table for it."""
    if struct.calcsize("P") != 8 or sys.byteorder != "little":
        return None  # a 32-bit Python makes other calls, whatever its kernel is
    return {it.name: it for it in (X86_64, AARCH64)}.get(platform.machine())
