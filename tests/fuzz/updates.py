"""Updates that a stick or a server may bring: heads that are wrong, also under a right signature.

Root reads them, so nothing but its own refusal may come of it; and what is packed may not unpack to
more than was said.
"""

from __future__ import annotations

import lzma
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from edge.errors import UpdateRefused
from edge.updates import signature
from edge.updates.bundle import FIRST, SUFFIX, open_bundle, read_head
from edge.updates.manifest import Manifest, Part, written
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import Target

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = [KEY.public_key()]
MOST = 10_000
"""Bytes that a part says to have."""
_DIGEST = "0" * 64
_PACKED = lzma.compress(b"the root of nobody\n" * 500)
_SAID = written(
    Manifest(
        form=1,
        version="1.1",
        minimum_version="1.0",
        machine="x86-64",
        made=1.0,
        root_hash=_DIGEST,
        notes={"en": "New."},
        parts=tuple(
            Part(name, MOST, _DIGEST, len(_PACKED), _DIGEST, "xz")
            for name in ("root", "verity", "uki")
        ),
    )
)


@dataclass(frozen=True)
class Brought:
    """A file."""

    said: tuple[Change, ...]
    """What is wrong with its manifest, which is signed as it is;"""
    head: tuple[Change, ...]
    """with all of its head;"""
    packed: tuple[Change, ...]
    """and with what it packs."""


_BROUGHT = st.builds(
    Brought,
    st.one_of(st.just(()), changes().map(tuple)),
    st.one_of(st.just(()), changes().map(tuple)),
    changes().map(tuple),
)


def _file(one: Brought) -> bytes:
    said = mutated(_SAID, one.said)
    signed = signature.written([signature.sign(said, KEY)])
    head = b"EDGEUPD\x01" + len(said).to_bytes(4) + len(signed).to_bytes(4) + said + signed
    content = bytearray(mutated(head, one.head))
    with suppress(UpdateRefused, IndexError, KeyError):
        parsed = read_head(bytes(content), KEYS)
        packed = mutated(_PACKED, one.packed)
        for offset in parsed.offsets().values():
            if offset < 1_000_000:
                content += bytes(max(0, offset - len(content))) + packed
        if parsed.total < 1_000_000:
            content = content[: parsed.total].ljust(parsed.total, b"\0")
    return bytes(content)


@contextmanager
def _opened() -> Iterator[Callable[[Brought], None]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"one{SUFFIX}"

        def check(one: Brought) -> None:
            path.write_bytes(_file(one))
            with suppress(UpdateRefused), open_bundle(path, KEYS) as bundle:
                assert bundle.head.length >= FIRST
                msgspec.json.encode(bundle.manifest)
                with suppress(UpdateRefused):
                    bundle.prove()
                for part in bundle.manifest.parts:
                    with suppress(UpdateRefused):
                        assert sum(map(len, bundle.content(part))) <= part.bytes

        yield check


UPDATES = (Target("update", _BROUGHT, _opened, Brought),)
