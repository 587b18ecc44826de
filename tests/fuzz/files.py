"""Part 10 files that are nearly right: those that pydicom packages, changed where it matters, and
data sets put together element by element, which lie about their lengths.
"""

from __future__ import annotations

import functools
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import pydicom
from hypothesis import strategies as st

from tests.dicom import streams
from tests.fuzz.mutation import BYTES, LENGTHS, PIECES, changes, mutated
from tests.samples import ct_series, packaged_files

_LONGEST = 16 * 1024
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
JPEG, RLE, MPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.100"


@dataclass(frozen=True)
class Right:
    """A file that is right, and where in it something begins: tags, VRs, lengths, values."""

    data: bytes
    seams: tuple[int, ...]


@functools.cache
def corpus() -> tuple[Right, ...]:
    """Small files of every kind."""
    made = [
        part.data
        for syntax in (EXPLICIT, IMPLICIT, DEFLATED)
        for part in ct_series(1, rows=8, columns=8, transfer_syntax=syntax)
    ]
    found = [path.read_bytes() for path in packaged_files() if path.stat().st_size <= _LONGEST]
    dicom = [data for data in (*made, *found) if data[128:132] == b"DICM"]
    return tuple(Right(data, tuple(sorted(_seams(data)))) for data in (*dicom, encapsulated()))


def _seams(data: bytes) -> set[int]:
    """By the places that pydicom found values at; headers are before them."""
    found = {0, 128, 132, 140}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(data), force=True)
        if dataset.file_meta.get("TransferSyntaxUID") == DEFLATED:
            return found
        pending = [dataset, dataset.file_meta]
        while pending:
            for raw in pending.pop().values():
                at = getattr(raw, "value_tell", None) or getattr(raw, "file_tell", None) or 0
                found.update(at - back for back in (0, 4, 8, 12) if at >= back)
                if getattr(raw, "VR", "") == "SQ" and not isinstance(raw.value, bytes | None):
                    pending += list(raw.value)
    return {at for at in found if at < len(data)}


def encapsulated(*fragments: bytes, syntax: str = JPEG, frames: int = 2) -> bytes:
    """An image of some fragments."""
    fragments = fragments or (struct.pack("<2I", 0, 12), b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xd9")
    items = b"".join(map(streams.item, fragments))
    pixels = streams.element(0x7FE00010, b"OB", items, streams.UNDEFINED) + streams.SEQUENCE_END
    image = b"".join(
        streams.element(tag, b"US", struct.pack("<H", value))
        for tag, value in (
            (0x00280002, 1),
            (0x00280010, 4),
            (0x00280011, 4),
            (0x00280100, 8),
            (0x00280101, 8),
            (0x00280102, 7),
            (0x00280103, 0),
        )
    )
    count = streams.element(0x00280008, b"IS", f"{frames:<2}".encode())
    return streams.instance(end=count + image + pixels, transfer_syntax=syntax)


@dataclass(frozen=True)
class Edit:
    """A change at a place."""

    kind: str
    at: int
    size: int
    piece: bytes

    def apply(self, data: bytes) -> bytes:
        at = max(0, min(self.at, len(data)))
        end = min(at + self.size, len(data))
        match self.kind:
            case "set":
                return data[:at] + self.piece + data[at + len(self.piece) :]
            case "insert":
                return data[:at] + self.piece + data[at:]
            case "delete":
                return data[:at] + data[end:]
            case "double":
                return data[:end] + data[at:end] + data[end:]
            case _:
                return data[:at]


def _edits(right: Right) -> st.SearchStrategy[bytes]:
    piece = st.one_of(
        st.sampled_from(BYTES).map(lambda byte: bytes([byte])),
        st.builds(
            lambda value, form: struct.pack(form, value & (2 ** (8 * struct.calcsize(form)) - 1)),
            st.sampled_from((*LENGTHS, 2, 4, 6, 10, 12, 64)),
            st.sampled_from(("<I", "<H", ">I", ">H", "B")),
        ),
        st.sampled_from(PIECES),
        st.sampled_from((b"SQ", b"UN", b"OB", b"OW", b"UT", b"UI", b"US", b"PN", b"xx")),
        st.integers(0, 10_000).flatmap(
            lambda _: st.sampled_from(right.seams).map(lambda at: right.data[at : at + 40])
        ),
        st.binary(max_size=8),
    )
    place = st.one_of(
        st.builds(lambda at, more: at + more, st.sampled_from(right.seams), st.integers(-2, 6)),
        st.integers(0, max(len(right.data) - 1, 0)),
    )
    kind = st.sampled_from(("set", "set", "set", "insert", "insert", "delete", "double", "cut"))
    edit = st.builds(Edit, kind, place, st.integers(0, 80), piece)
    return st.lists(edit, max_size=4).map(lambda some: _edited(right.data, some))


def _edited(data: bytes, some: Sequence[Edit]) -> bytes:
    for one in some:
        data = one.apply(data)[:200_000]
    return data


# Data sets put together

_TAGS = (
    0x00020010, 0x00080000, 0x00080005, 0x00080016, 0x00080018, 0x00080060, 0x00081115, 0x00081140,
    0x00090010, 0x00091001, 0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00280002, 0x00280004,
    0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103,
    0x00280106, 0x00281101, 0x00281201, 0x00281221, 0x00283000, 0x00283002, 0x00283006, 0x00290010,
    0x00291010, 0x0040A730, 0x0040A040, 0x0040A043, 0x0040A160, 0x52009229, 0x52009230, 0x54000100,
    0x54001010, 0x60003000, 0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE10010,
    0xFFFCFFFC, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0xFFFFFFFF, 0x00000000,
)  # fmt: skip
_VRS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    b"US UT UV ZZ"
).split()
_VALUES = (
    b"",
    b"\0",
    b" ",
    b"ISO_IR 192",
    b"\\ISO 2022 IR 87",
    b"ISO_IR 100\\ISO 2022 IR 149",
    b"GB18030 ",
    streams.STUDY.encode() + b"\0",
    b"1.2.3\\4",
    b"\x01\0",
    b"\xff\xff",
    b"\x08\0",
    b"\x10\0\0\0\x10\0",
    b"\0\0\0\0\0\0\xf0\x7f",
    b"12\\x\\1.0\\",
    b"99999999999999999999",
    b"nan ",
    b"\x1b$B;3ED\x1b(B^\x1b$BB@O:",
    b"D\xc3\xb6e^J=\xe5\xb1\xb1=\\=",
    b"CONTAINER ",
    b"PALETTE COLOR ",
    b"a" * 70,
    bytes(1030),
)
_LIES = st.sampled_from((None, None, None, None, 0, 1, 2, 0xFFFE, 0xFFFFFFFE, 0xFFFFFFFF))
_Node = tuple[int, bytes, bytes | None, int | None, tuple, bool]
"""Tag, VR, value (None: items), a length that lies, the items, whether these end by delimiters."""


def _nodes() -> st.SearchStrategy[list[_Node]]:
    tag = st.one_of(st.sampled_from(_TAGS), st.integers(0, 2**32 - 1))
    value = st.one_of(st.sampled_from(_VALUES), st.binary(max_size=24))
    leaf = st.tuples(tag, st.sampled_from(_VRS), value, _LIES, st.just(()), st.booleans())

    def branch(below: st.SearchStrategy[list[_Node]]) -> st.SearchStrategy[list[_Node]]:
        items = st.lists(st.tuples(below, _LIES, st.booleans()), max_size=3).map(tuple)
        node = st.tuples(
            tag,
            st.sampled_from((b"SQ", b"SQ", b"UN", b"OB")),
            st.none(),
            _LIES,
            items,
            st.booleans(),
        )
        return st.lists(st.one_of(leaf, node), max_size=4)

    return st.recursive(st.lists(leaf, max_size=4), branch, max_leaves=8)


def _rendered(nodes: Sequence[_Node], *, explicit: bool, in_order: bool) -> bytes:
    if in_order:
        nodes = sorted(nodes, key=lambda node: node[0])
    return b"".join(_element(node, explicit=explicit, in_order=in_order) for node in nodes)


def _element(node: _Node, *, explicit: bool, in_order: bool) -> bytes:
    tag, vr, value, lie, items, undefined = node
    end = b""
    if value is None:
        value = b"".join(
            _item(below, other, open_ended, explicit=explicit, in_order=in_order)
            for below, other, open_ended in items
        )
        if undefined:
            lie, end = 0xFFFFFFFF, streams.SEQUENCE_END
    else:
        value += b" " * (len(value) % 2)
    if not explicit:
        return streams.implicit(tag, value, lie) + end
    if vr not in streams.LONG_VRS and lie is not None:
        lie &= 0xFFFF
    if vr not in streams.LONG_VRS:
        value = value[:0xFFFE]
    return streams.element(tag, vr, value, lie) + end


def _item(
    nodes: Sequence[_Node], lie: int | None, open_ended: bool, *, explicit: bool, in_order: bool
) -> bytes:
    content = _rendered(nodes, explicit=explicit, in_order=in_order)
    if open_ended:
        return streams.item(content, undefined=True)
    return streams.implicit(0xFFFEE000, content, lie)


def _made(middle: list[_Node], end: list[_Node], syntax: str, in_order: bool) -> bytes:
    explicit = syntax != IMPLICIT
    inner, outer = (
        _rendered(nodes, explicit=explicit, in_order=in_order) for nodes in (middle, end)
    )
    if not explicit:
        return streams.implicit_instance(inner, outer)
    whole = streams.instance(inner, outer, syntax)
    if syntax != DEFLATED:
        return whole
    at = 144 + struct.unpack_from("<I", whole, 140)[0]
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return whole[:at] + deflater.compress(whole[at:]) + deflater.flush()


def made() -> st.SearchStrategy[bytes]:
    """Files that were put together."""
    return st.builds(
        _made,
        _nodes(),
        _nodes(),
        st.sampled_from((EXPLICIT, EXPLICIT, IMPLICIT, DEFLATED, JPEG, RLE, MPEG)),
        st.sampled_from((True, True, True, False)),
    )


def _inflated(data: bytes, some: list) -> bytes:
    """Changed below its compression."""
    at = 144 + struct.unpack_from("<I", data, 140)[0]
    plain = mutated(zlib.decompress(data[at:], wbits=-zlib.MAX_WBITS), some)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[:at] + deflater.compress(plain) + deflater.flush()


def fragments() -> st.SearchStrategy[bytes]:
    """Encapsulated images whose tables and fragments do not fit each other."""
    fragment = st.one_of(
        st.sampled_from(
            (b"\xff\xd8\xff\xd9", b"\xff\x4f\xff\x51", b"", b"\0\0", b"\0\0\0\x0cjP", bytes(64))
        ),
        st.lists(st.sampled_from((0, 4, 8, 12, 20, 0xFFFFFFF0)), max_size=5).map(
            lambda offsets: struct.pack(f"<{len(offsets)}I", *offsets)
        ),
    )
    return st.builds(
        lambda some, syntax, frames: encapsulated(*some, syntax=syntax, frames=frames),
        st.lists(fragment, min_size=1, max_size=6),
        st.sampled_from((JPEG, RLE, MPEG)),
        st.sampled_from((0, 1, 2, 3, 4, -1, 99)),
    )


def files() -> st.SearchStrategy[bytes]:
    """Any of these."""
    deflated = [right.data for right in corpus() if DEFLATED.encode() in right.data[:400]]
    return st.one_of(
        made(),
        made(),
        st.deferred(lambda: st.sampled_from(corpus())).flatmap(_edits),
        fragments(),
        st.builds(_inflated, st.sampled_from(deflated[:1]), changes()),
        st.builds(mutated, fragments(), changes()),
    )


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Cut at these thousandths."""
    start = 0
    for end in [*sorted(cut * len(data) // 1000 for cut in cuts), len(data)]:
        yield data[start:end]
        start = end
