"""Configurations: what a technician, or a backup, may say. Each is taken, or refused as one.

The document's own examples are made wrong value by value, so that they stay TOML most of the time,
and the environment says things beside them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.loading import load
from tests.documents import TEXT
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import Target

_BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VALUE = re.compile(r"(?<== )[^\n#\[{]+|(?<=\[)\"[^\]\n]*(?=\])")
_NAME = re.compile(r"^[\w.]+(?= =)|(?<=^\[)[\w.]+(?=\])", re.MULTILINE)
_HOSTILE = (
    '""',
    '"x"',
    "0",
    "1",
    "-1",
    "1e400",
    "9" * 20,
    "9" * 400,
    "9" * 5000,
    "0x10",
    "nan",
    "-inf",
    "true",
    "[]",
    "[[]]",
    "[1, 'a']",
    "{}",
    "{ a = 1 }",
    "{ path = '/x' }",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "'''\n'''",
    '"\\u0000"',
    '"/\\u0000"',
    '"/tmp/x"',
    '"127.0.0.1:0"',
    '"127.0.0.1:99999"',
    '"[::1]:1"',
    '"[::1"',
    '"::"',
    '"https://["',
    '"https://a\u2100b"',
    '"https://x:99999/"',
    '"https://xn--a/"',
    '"http://user:pass@h/"',
    '"*"',
    '"..."',
    '"mon-fri 08:00-18:00"',
    '"99:99-00:00"',
    '"' + "A" * 70_000 + '"',
    "[" * 3000,
    '"\U0010ffff\u202e"',
)
_VARIABLES = (
    "EDGE_APPLIANCE__NAME",
    "EDGE_APPLIANCE",
    "EDGE_DIMSE__PEER__0__AE_TITLE",
    "EDGE_DIMSE__PEER__00__AE_TITLE",
    "EDGE_DIMSE__PEER__1__HOST",
    "EDGE_DIMSE__PEER__" + "9" * 5000 + "__HOST",
    "EDGE_DIMSE__PEER__\u0663__HOST",
    "EDGE_CLOUD__ARCHIVE__0__URL",
    "EDGE_CLOUD__ARCHIVE__0__AUTH",
    "EDGE_HTTP__LISTEN",
    "EDGE_HTTP__LISTEN__0",
    "EDGE_ACCESS__OIDC__ROLES",
    "EDGE_ACCESS__OIDC__ROLES__X",
    "EDGE_",
    "EDGE___",
    "EDGE_CACHE__PIN__0",
)


@dataclass(frozen=True)
class Written:
    """What stands in the file, and in the environment."""

    text: str
    some: tuple[Change, ...]
    """Changes of its bytes."""
    environ: tuple[tuple[str, str], ...]


@contextmanager
def _settings() -> Iterator[Callable[[Any], None]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edge.toml"

        def read(example: Written) -> None:
            text = example.text.encode("utf-8", "surrogatepass")
            path.write_bytes(mutated(text, example.some))
            with suppress(ConfigError):
                load(path, dict(example.environ))

        yield read


def _other(text: str, values: list[tuple[int, str]], names: list[tuple[int, int]]) -> str:
    """Other values at some places, and names of one place at another."""
    for number, value in values:
        found = list(_VALUE.finditer(text))
        if found:
            one = found[number % len(found)]
            text = text[: one.start()] + value + text[one.end() :]
    for at, source in names:
        found = list(_NAME.finditer(text))
        if found:
            one, other = found[at % len(found)], found[source % len(found)]
            text = text[: one.start()] + other[0] + text[one.end() :]
    return text


_PLACE = st.integers(0, 60)
_WRITTEN = st.builds(
    lambda blocks, values, names, some, plain, environ: Written(
        _other("\n".join(blocks), values, names), () if plain else tuple(some), environ
    ),
    st.lists(
        st.deferred(lambda: st.sampled_from(_BLOCK.findall(TEXT))),
        min_size=1,
        max_size=2,
    ),
    st.lists(st.tuples(_PLACE, st.sampled_from(_HOSTILE)), max_size=2),
    st.one_of(*[st.just([])] * 3, st.lists(st.tuples(_PLACE, _PLACE), max_size=1)),
    changes(),
    st.sampled_from((True, True, True, False)),
    st.one_of(
        *[st.just(())] * 3,
        st.lists(
            st.tuples(st.sampled_from(_VARIABLES), st.sampled_from((*_HOSTILE, "x", "1"))),
            max_size=2,
        ).map(tuple),
    ),
)

CONFIGURATIONS = (Target("settings", _WRITTEN, _settings, Written),)
