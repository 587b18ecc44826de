"""A process that enters the store's cage, tries one thing, and prints what came of it.

Its arguments: two folders, and the name of the attempt; or the name of a file to make in the first,
rename into the second, and read there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from edge.cage import entry, policies
from tests.cage.attempts import attempt


def keep(incoming, shelves, name):
    """What the store's process does all day."""
    descriptor = os.open(incoming / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(descriptor, b"sealed")
    os.fsync(descriptor)
    os.close(descriptor)
    (incoming / name).rename(shelves / name)
    folder = os.open(shelves, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)
    descriptor = os.open(shelves / name, os.O_RDONLY)
    found = os.pread(descriptor, 10, 0)
    os.close(descriptor)
    return found.decode()


def opened(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return None


def threaded(results, *words):
    thread = threading.Thread(target=lambda: results.append(keep(*words)))
    thread.start()
    thread.join()
    return results[0]


def main(incoming, shelves, what, name):
    lacks = entry.enter(policies.store(incoming, shelves))
    match what:
        case "keep":
            outcome = threaded([], incoming, shelves, name)
        case "open":
            outcome = opened(name)
        case _:
            outcome = attempt(name)
    os.write(1, json.dumps({"lacks": lacks, "outcome": outcome}).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
