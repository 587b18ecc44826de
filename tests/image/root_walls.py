"""Run as root's programs are, behind the walls of their units: where they may write, and where not.

Prints one line for each path of the command line: it, and what became of an attempt to write there;
a new file in a folder, the first sector of a device.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def attempt(path: Path) -> str:
    try:
        if path.is_dir():
            with tempfile.TemporaryFile(dir=path):
                pass
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_SYNC)
            try:
                os.write(descriptor, b"written!" * 64)
            finally:
                os.close(descriptor)
    except OSError as error:
        return type(error).__name__ + f" {error.errno}"
    return "done"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{name}: {attempt(Path(name))}", flush=True)
