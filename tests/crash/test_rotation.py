"""Killed between every two steps of a ring that is opened, gets another root, and is rotated."""

from __future__ import annotations

import itertools

import pytest

from edge.crypto.keys import KeyRing
from edge.errors import WrongKey
from tests.crash.doomed_ring import doomed_ring
from tests.crypto.rings import (
    FORMER_DERIVED,
    FORMER_KEYS,
    FORMER_ROOT,
    Fixed,
    former,
    ring,
)

NEW = b"n" * 32


def opened(path, roots):
    """The ring, by whichever root opens it."""
    for root in roots:
        try:
            return KeyRing(path, Fixed(root), may_create=False), root
        except WrongKey:
            continue
    raise AssertionError("no root opens it")


@pytest.mark.parametrize("new_root", [None, NEW], ids=["the same root", "another root"])
@pytest.mark.parametrize("version", [1, 2])
def test_every_key_opens_before_and_after_wherever_it_is_killed(tmp_path, version, new_root):
    root = FORMER_ROOT if version == 1 else bytes(32)
    epochs, roots = set(), set()
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        folder.mkdir()
        if version == 1:
            path = former(folder)
            secrets = {bytes.fromhex(name): bytes.fromhex(key) for name, key in FORMER_KEYS.items()}
            index = bytes.fromhex(FORMER_DERIVED["index"])
        else:
            path = folder / "keys.db"
            keys = ring(folder)
            secrets = {key.key_id: key.secret for key in (keys.new_study_key() for _ in range(6))}
            index = keys.derive("index")
            keys.close()
        steps = doomed_ring(path, root, new_root, fatal)
        for _ in range(2):  # what one start has done, the next finds
            keys, by = opened(path, [root, NEW])
            assert keys.key_ids() == set(secrets), f"step {fatal}"
            for name, secret in secrets.items():
                assert keys.study_key(name).secret == secret, f"step {fatal}"
            assert keys.derive("index") == index, f"step {fatal}"
            assert len(keys._places.epochs) == 1, f"step {fatal}"
            epochs |= keys._places.epochs.keys()
            keys.close()
        roots.add(by)
        if steps:
            assert by == (new_root or root)
            break
    assert roots == ({root, NEW} if new_root else {root})
    assert len(epochs) > 1
    assert {"open", "pwrite", "fsync"} <= set(steps)
