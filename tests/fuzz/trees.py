"""DICOM JSON that is nearly right: data sets as trees, and what may stand in their place.

Owns the grammar of PS3.18 F.2 with everything that a hostile writer may put where something else
belongs. A tree is made wrong before it is written, and its text after that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.mutation import changes, mutated

TAGS = (
    "00080005 00080016 00080018 00080020 00080030 00080060 00080061 00080090 00081030 00081115 "
    "00081140 00081155 00081196 00081197 00081198 00081199 0008119A 00091001 00100010 00100020 "
    "00100021 00100030 00101000 0020000D 0020000E 00200010 00200013 00201206 00201208 00280002 "
    "00280004 00280006 00280008 00280010 00280011 00280100 00280101 00280102 00280103 00281050 "
    "00281101 00281201 00283000 00283002 00283006 00283010 0040A043 0040A730 0040A040 0040A160 "
    "52009229 52009230 7FE00010 7FE00008 00020010 00000902 00400100 00400275 FFFCFFFC FFFFFFFF "
    "0000000g 0010 zzzzzzzz"
).split()
VRS = (
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    "US UT UV".split()
)
TEXTS = (
    "",
    "1.2.3",
    "1.2.840.10008.5.1.4.1.1.2",
    "20240229",
    "101112.5",
    "ISO_IR 192",
    "ISO 2022 IR 87",
    "CT",
    "D\u00f6e^J\u00e4ne=\u5c71\u7530=",
    "a\\b\\c",
    "9" * 70,
    "9" * 5000,
    "1e999",
    "-0",
    "nan",
    "inf",
    "0x10",
    "1_0",
    "\0",
    "\x1b$B",
    "\u2028\ufffd\U0010ffff",
    "../../../etc/passwd",
    "<a>&b;]]>",
    '"><b x="',
    "AAEC",
    "AAE",
    "@@",
    "*" * 40,
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    255,
    65535,
    65536,
    -32769,
    2**31,
    2**32,
    2**53 + 1,
    2**63,
    2**64,
    1.5,
    1e300,
)


def _scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.sampled_from(TEXTS),
        st.sampled_from(NUMBERS),
        st.none(),
        st.booleans(),
        st.text(max_size=6),
        st.floats(allow_nan=False, allow_infinity=False),
    )


def _names() -> st.SearchStrategy[Any]:
    groups = st.sampled_from(("Alphabetic", "Ideographic", "Phonetic", "Other"))
    return st.dictionaries(groups, _scalars(), max_size=3)


def _elements(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    values = st.lists(st.one_of(_scalars(), _names(), below), max_size=4)
    vr = st.one_of(st.sampled_from(VRS), st.sampled_from(("", "XX", "sq", "\u00c4\u00d6", "OB ")))
    return st.one_of(
        st.builds(lambda vr, values: {"vr": vr, "Value": values}, vr, values),
        st.builds(lambda items: {"vr": "SQ", "Value": items}, st.lists(below, max_size=4)),
        st.builds(lambda vr: {"vr": vr}, vr),
        st.builds(lambda vr, text: {"vr": vr, "InlineBinary": text}, vr, _scalars()),
        st.builds(lambda vr, text: {"vr": vr, "BulkDataURI": text}, vr, _scalars()),
        st.builds(lambda values: {"Value": values}, values),
        _scalars(),
        values,
    )


def datasets() -> st.SearchStrategy[Any]:
    """Data sets as trees, some of them right."""
    tags = st.one_of(st.sampled_from(TAGS), st.integers(0, 2**32 - 1).map(lambda tag: f"{tag:08X}"))
    random = st.recursive(
        st.dictionaries(tags, _elements(st.just({})), max_size=5),
        lambda below: st.dictionaries(tags, _elements(below), max_size=5),
        max_leaves=6,
    )
    known = st.sampled_from(sorted(corpus.IDENTIFIERS)).map(corpus.IDENTIFIERS.__getitem__)
    return st.one_of(
        random,
        known,
        st.builds(lambda right, wrong: {**right, **wrong}, known, random),
    )


def documents(trees: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[bytes]:
    """Texts of trees, or of lists of them, most of them not changed any more."""
    wanted = trees if trees is not None else st.one_of(datasets(), st.lists(datasets(), max_size=3))
    return st.builds(
        lambda tree, some, plain: written(tree) if plain else mutated(written(tree), some),
        wanted,
        changes(),
        st.booleans(),
    )


def written(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def nested(depth: int) -> Mapping[str, Any]:
    """Sequences in sequences."""
    tree: dict[str, Any] = {}
    for _ in range(depth):
        tree = {"00081115": {"vr": "SQ", "Value": [tree]}}
    return tree


def read(text: str) -> Any:
    """Text that was written here; None if it was made wrong."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every node below the top: the way to it, and itself."""
    steps: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        steps = tree.items()
    elif isinstance(tree, list):
        steps = enumerate(tree)
    for step, below in steps:
        yield (*path, step), below
        yield from places(below, (*path, step))


def turned(tree: Any, some: Sequence[tuple[int, Any]]) -> Any:
    """A copy of a data set with other values in some elements, counted through all that it has."""
    tree = json.loads(json.dumps(tree))
    for number, value in some:
        found = [
            path
            for path, node in places(tree)
            if isinstance(path[-1], int) and not isinstance(node, dict)
        ]
        if found:
            *way, last = found[number % len(found)]
            above = tree
            for step in way:
                above = above[step]
            above[last] = value
    return tree
