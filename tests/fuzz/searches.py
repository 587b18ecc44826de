"""Searches of an index in which anything may be: every VR under every tag, and paths through it.

Whatever somebody stored, a search is answered for everybody else, or refused as one that can't be.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from edge.dicom.instance import Custody, Level, Origin
from edge.dicom.query import ALL, Match, Query
from edge.dicomweb.responses import DICOM_JSON
from edge.errors import QueryError
from edge.index import instances
from edge.index.database import Database
from edge.index.search import count, search
from tests.fuzz import corpus, trees
from tests.fuzz.metadata import all_in, shown, stored
from tests.fuzz.targets import Target


@dataclass(frozen=True)
class Wanted:
    """One matching key."""

    path: tuple[str, ...]
    values: tuple[str, ...]
    empty: bool


@dataclass(frozen=True)
class Search:
    """What somebody stored, as JSON, and what somebody else asks then."""

    put: str
    level: str
    keys: tuple[Wanted, ...]
    fuzzy: bool
    combined: bool
    everything: bool

    def query(self) -> Query:
        keys = tuple(Match(key.path, key.values, key.empty) for key in self.keys)
        include = frozenset({ALL}) if self.everything else frozenset[str]()
        return Query(
            Level(self.level), keys, fuzzy=self.fuzzy, combined=self.combined, include=include
        )


@contextmanager
def _index() -> Iterator[Callable[[Any], None]]:
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        path = Path(folder) / "index.db"
        database = runner.run(stack.enter_async_context(Database(path, bytes(32))))

        async def look(example: Search) -> None:
            for row in all_in(example.put.encode(), DICOM_JSON) or ():
                if (new := _new(row, next(numbers))) is not None:
                    await database.write(lambda db, new=new: instances.put(db, new, 1e9))
            query = example.query()
            with suppress(QueryError):
                found = 0
                async for answer in search(database, query):
                    shown(answer)
                    found += 1
                assert found == await count(database, query)

        try:
            yield lambda example: runner.run(look(example))
        finally:
            runner.run(stack.aclose())


def _new(row: dict[str, Any], number: int) -> instances.NewInstance | None:
    """Of each study there are a few instances."""
    study = f"1.2.{number // 4}"
    series = f"{study}.{number // 2}"
    uids = {"0020000D": study, "0020000E": series, "00080018": f"{series}.{number}"}
    scanned = stored({**row, **{tag: corpus.key("UI", uid) for tag, uid in uids.items()}})
    if scanned is None:
        return None
    digest = hashlib.sha256(b"%d" % number).digest()
    return instances.NewInstance(
        ref=scanned.ref,
        sop_class_uid=scanned.sop_class_uid,
        transfer_syntax=scanned.transfer_syntax,
        attributes=scanned.attributes,
        document=instances.pack(scanned.attributes),
        layout=scanned.layout.to_bytes(),
        frame_count=1,
        object=digest.hex()[:32],
        key_id=bytes(16),
        content_bytes=scanned.length,
        sealed_bytes=scanned.length + 100,
        meta_digest=digest,
        dataset_digest=digest,
        origin=Origin.DIMSE,
        peer="FUZZ",
        custody=Custody.EDGE_ONLY,
    )


_TAGS = (
    "00080005 00080020 00080021 00080022 00080030 00080050 00080056 00080060 00080061 00080062 "
    "00080090 "
    "00080201 0008002A 00081030 00081032 00081110 00081155 00100010 00100020 00100021 00100030 "
    "00100040 00180015 0020000A 0020000D 0020000E 00200010 00200013 00201206 00280008 00280010 "
    "00281050 00290010 00291011 00291111 00321032 00400002 00400003 00400009 00400244 00400245 "
    "00400275 0040A040 0040A730 00080100 00080104 7FE00010 00081195"
).split()
_VALUES = (
    "x",
    "x*",
    "?",
    "*",
    "",
    "5",
    "-3",
    "1e300",
    "20240229",
    "20200101-20300101",
    "-20300101",
    "1015-",
    "101112.5",
    "20240229101112+0100",
    "1.2.3",
    "1.2.840.10008.5.1.4.1.1.2",
    "CT",
    "D*^J?",
    "doe^jane=\u5c71\u7530=",
    "ONLINE",
    "%_'\"",
    "a\\b",
)
_SCALARS = st.one_of(
    st.sampled_from((*_VALUES, *trees.NUMBERS, '{"a": 1}', "[1]", None, True, "ACME")),
    st.sampled_from(trees.TEXTS),
    st.builds(lambda name: {"Alphabetic": name}, st.sampled_from(_VALUES)),
)
_VRS = st.sampled_from("SQ SQ PN LO SH CS DA TM DT IS DS US FD UI UN AT LT UR".split())


def _element(vr: str, values: list[Any], item: dict[str, Any]) -> dict[str, Any]:
    if vr == "SQ":
        values = [item, {}][: 1 + len(values) % 2]
    elif vr in ("IS", "DS", "US", "FD"):
        values = [one if isinstance(one, int | float) else len(str(one)) for one in values]
    elif vr == "PN":
        values = [one if isinstance(one, dict) else {"Alphabetic": str(one)} for one in values]
    else:
        values = [one if isinstance(one, str) else json.dumps(one) for one in values]
    return {"vr": vr, "Value": values}


def _datasets(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    below = _datasets(depth - 1) if depth else st.just({})
    element = st.builds(_element, _VRS, st.lists(_SCALARS, max_size=3), below)
    return st.dictionaries(st.sampled_from(_TAGS), element, max_size=4)


_PUT = st.builds(
    lambda tree, wild: json.dumps(
        [{**tree, **wild, "00080016": corpus.IDENTIFIERS["instance"]["00080016"]}]
    ),
    _datasets(2),
    st.one_of(*[st.just({})] * 3, trees.datasets()),
)
_WANTED = st.builds(
    Wanted,
    st.one_of(
        *[st.sampled_from(_TAGS).map(lambda tag: (tag,))] * 2,
        st.lists(st.sampled_from(_TAGS), min_size=2, max_size=4).map(tuple),
    ),
    st.lists(st.sampled_from(_VALUES), min_size=1, max_size=2).map(tuple),
    st.sampled_from((False, False, False, True)),
)


def _together(
    path: tuple[str, ...], first: str, last: str, values: list[str]
) -> tuple[Wanted, ...]:
    return (
        Wanted((*path, first), (values[0],), False),
        Wanted((*path, last), (values[1],), False),
    )


# What is one question only together: a day and its time, a creator and what is its own.
_TOGETHER = st.builds(
    lambda path, pair, values: _together(path, *pair, values),
    st.sampled_from(((), (), (), ("00081032",), ("00400275",), ("0040A730", "0040A730"))),
    st.sampled_from(
        (
            ("00080020", "00080030"),
            ("00400002", "00400003"),
            ("00400244", "00400245"),
            ("00290010", "00291011"),
            ("00290010", "00291011"),
            ("00080100", "00080104"),
            ("00080100", "00321032"),
        )
    ),
    st.one_of(
        st.sampled_from((["20200101-20300101", "1015-"], ["-20300101", "-1200"], ["ACME", "x*"])),
        st.lists(st.sampled_from(_VALUES), min_size=2, max_size=2),
    ),
)
_SEARCHES = st.builds(
    lambda put, level, keys, more, flags: Search(put, level, (*keys, *more), *flags),
    _PUT,
    st.sampled_from([level.value for level in (*Level, Level.INSTANCE, Level.INSTANCE)]),
    st.lists(_WANTED, max_size=2).map(tuple),
    st.one_of(st.just(()), _TOGETHER),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)

SEARCHES = (Target("search", _SEARCHES, _index, Search),)
