"""multipart/related bodies that do not bound what they say they bound, cut anywhere.

However a body is cut into pieces, what is in it is the same, and so is what is wrong with it.
"""

from __future__ import annotations

from hypothesis import strategies as st

from edge.dicom.multipart import (
    MultipartLimits,
    MultipartParser,
    PartData,
    PartEnd,
    PartStart,
    boundary_of,
    parse_media_type,
)
from edge.errors import MultipartError
from tests.fuzz.mutation import mutations
from tests.fuzz.targets import reader

LIMITS = MultipartLimits(preamble=200, header=300, parts=12)
"""Small, so that examples reach them."""
BODIES = [
    b"--B\r\nContent-Type: application/dicom\r\n\r\n" + bytes(200) + b"\r\n--B--\r\n",
    b"pre\r\namble\r\n--B \t\r\n\r\n\r\n--B\r\nA: b\r\n c\r\n\r\n--B\r\n--Bx\r\n--B--",
    b"\r\n--B\r\n\r\n\r\n--B\r\n\r\n\r\n--B--epilogue\r\n--B\r\n",
]
_TOKENS = (
    b"\r\n",
    b"\r",
    b"\n",
    b"-",
    b"--",
    b"B",
    b"--B",
    b"\r\n--B",
    b"\r\n--B\r\n",
    b"\r\n--B--",
    b"\r\n\r\n",
    b" ",
    b"\t" * 127,
    b" \t\r\n",
    b"Content-Type: application/dicom",
    b"Content-Location: \xff\xfe",
    b": x",
    b"X:\r\n y",
    b"\0",
    bytes(100),
)
_SOUP = st.lists(st.sampled_from(_TOKENS), max_size=30).map(b"".join)
TYPES = [
    b"multipart/related; boundary=B",
    b'Multipart/Related ; type="application/dicom"; boundary="B"',
    b'multipart/related; boundary="a b"; x="\\"\\\\"; ; =',
    b"application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50",
    b"a/b;c=d;e;f=;g=h/i",
]


def _multipart(example: tuple[bytes, list[int], bytes]) -> None:
    body, cuts, kind = example
    whole = _events([body])
    start, pieces = 0, []
    for end in [*sorted(cut * len(body) // 1000 for cut in cuts), len(body)]:
        pieces.append(body[start:end])
        start = end
    assert _events(pieces) == whole
    assert _events([body[at : at + 1] for at in range(len(body))]) == whole
    _type(kind.decode("latin-1"))
    for told in whole:
        if isinstance(told, dict):
            _type(told.get("content-type", ""))


def _events(pieces: list[bytes]) -> list[object]:
    """What it says, parts' bodies put together; what is wrong comes last."""
    parser, found = MultipartParser("B", limits=LIMITS), list[object]()
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                match event:
                    case PartStart(headers):
                        found += [dict(headers), b""]
                    case PartData(data):
                        assert len(data)
                        found[-1] += bytes(data)  # type: ignore[operator]
                    case PartEnd():
                        found.append(None)
                    case _:
                        found.append("end")
            assert len(parser._carry) <= LIMITS.header + len(piece) + 200
        parser.finish()
    except MultipartError as error:
        found.append(str(error))
    assert parser.parts <= LIMITS.parts + 1
    return found


def _type(text: str) -> None:
    try:
        parsed = parse_media_type(text)
        assert parsed.essence == parsed.essence.lower()
        boundary = boundary_of(text)
    except MultipartError:
        return
    MultipartParser(boundary)


_CUTS = st.lists(st.integers(0, 999), max_size=6)
MULTIPART = (
    reader(
        "multipart",
        st.tuples(st.one_of(_SOUP, _SOUP, mutations(BODIES)), _CUTS, mutations(TYPES)),
        _multipart,
        tuple[bytes, list[int], bytes],
        at_a_time=1000,
    ),
)
