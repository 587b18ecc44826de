"""Rings of keys for tests: by a secret that is known, and one that version 1 made."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

from edge.crypto.keys import KeyRing
from edge.crypto.twin import copies

__all__ = ["FORMER", "FORMER_DERIVED", "FORMER_KEYS", "FORMER_ROOT", "Fixed", "former", "ring"]

FORMER = (
    "c${-}ad-80jSOZ?$Z=8K%-XH{bBVBh7gw0k35{%%H!pu$&9R!fen-aRy$rMgj3^WW$S>->meHuQaN>&>CzIwnZkT_vqo"
    "jCwa`0{q<NH5d7MzJtTy!IaKbxKLlBfJ`+h5tb+dka%e!{~a_(9|oDfTl#?QeLo_re#wtu4C$_2!6ZhP}*{j&4uMahV!"
    "c(<|;$SXr7H>lna(sjv3ddo!y&%r44?yY*BrnNNN5RFN@nn$mg3R|}s_c%fKUe>ILVlJZcYAAtE^_4l0pzw6iKofSR4P"
    "w_~4DF3%R58lfb?!Ei*mqQa%&yQDOb^9Vus;|*9U-Qj>`v1GG!d2l{+TR|F+Qz+nWu3|zg}dsn-k-n1zIS~CA363n@tu"
    "9Bx4QV=!`;~@{_+3&e{ojEYkPa`OERKmj9T~2zh2==v-^GeWMH)B@f*2cD*rM2nztH>g#QwiQ@4rY<?~+}!N{<hMZTd<"
    "`|b=<><0k9KA_S"
)
"""``keys.db`` as version 1 wrote it: four study keys were made, and the second one destroyed."""
FORMER_ROOT = b"R" * 32
FORMER_KEYS = {
    "80e8bdd0f42eb5842dff2e9c142956e9": (
        "f8db433bbe0ad97c082704089bdac6cb1f18c24e1442c17090e4eec9517477c4"
    ),
    "25fb9cbffb7fae6ecd15c7be21c46755": (
        "bd0d7c390156507eceaeca922513fb9fbf12bedc1d67462a53c1f064b74b2ee2"
    ),
    "820ecde12eab73dee1bb6bc8fe0ffeff": (
        "2ffd0804731eef38cf6cdfa29f717f29926f1f21d26d353d53dcf907e1a13bfe"
    ),
}
FORMER_DERIVED = {
    "index": "7c9143a95aeb5bb348c618e62528fde43026a47df4829b8a360943ceefdd7eeb",
    "tls": "ae8cb4f3038f2a81a0c4119021021d160bd963ea060969db43039e9379d8eaa5",
}


class Fixed:
    """A provider that always has the same secret."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def root_secret(self, *, first_start: bool) -> bytes:
        return self.secret


def ring(folder: Path, secret: bytes = bytes(32), *, owned: bool = True) -> KeyRing:
    """The ring in a folder, made if there is none."""
    return KeyRing(folder / "keys.db", Fixed(secret), may_create=owned, owned=owned)


def former(folder: Path) -> Path:
    """Lay a ring of version 1 there; its path."""
    path = folder / "keys.db"
    for copy in copies(path):
        copy.write_bytes(zlib.decompress(base64.b85decode(FORMER)))
    return path
