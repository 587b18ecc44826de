"""The modality: DCMTK's ``dcmsend``, one process for each association, all at once.

Promises that every process it started has ended when it returns, and that a transfer which was not
wholly successful is an error and never a figure.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.servers import CALLING, Server
from tests.bench.workplace import BenchError

__all__ = ["send"]

_SLOWEST = 5_000_000
"""Bytes per second below which a transfer is given up."""


def send(parts: Sequence[Sequence[Path]], server: Server) -> float:
    """Send files, each part over an association of its own.

    Returns:
        Seconds from starting the first process to the end of the last.

    Raises:
        BenchError: A file was refused, or it takes too long.
    """
    size = sum(path.stat().st_size for part in parts for path in part)
    command = [
        "dcmsend",
        *("--quiet", "--aetitle", CALLING, "--call", server.ae_title),
        *("--timeout", "10", "--dimse-timeout", "300"),
        *("127.0.0.1", str(server.dicom_port)),
    ]
    # Without TCP_NODELAY, DCMTK waits 40 ms for every instance.
    environment = os.environ | {"TCP_NODELAY": "1"}
    processes: list[subprocess.Popen[bytes]] = []
    begun = time.perf_counter()
    deadline = begun + 30 + size / _SLOWEST
    try:
        for part in parts:
            process = subprocess.Popen(
                [*command, *map(str, part)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            processes.append(process)
        errors = [
            process.communicate(timeout=max(deadline - time.perf_counter(), 0.1))[1]
            for process in processes
        ]
        seconds = time.perf_counter() - begun
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{server.name}: {size / 1e6:.0f} MB were not taken in time") from error
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    for process, said in zip(processes, errors, strict=True):
        if process.returncode:
            words = said.decode(errors="replace").strip()[-500:]
            raise BenchError(f"{server.name} did not take everything: {words}")
    return seconds
