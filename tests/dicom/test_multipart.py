import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.multipart import (
    PART_CLOSING,
    End,
    MultipartLimits,
    MultipartParser,
    PartData,
    PartEnd,
    PartStart,
    boundary_of,
    closing,
    content_type_of,
    new_boundary,
    parse_media_type,
    part_opening,
    read_parts,
)
from edge.errors import MultipartError

BOUNDARY = "b0undary"


def message(*bodies, boundary=BOUNDARY):
    parts = b"".join(
        part_opening(boundary, {"Content-Type": "application/dicom"}) + body + PART_CLOSING
        for body in bodies
    )
    return parts + closing(boundary)


def parse(data, *, sizes=None, boundary=BOUNDARY, limits=None):
    """The parts as (headers, body), of a message fed in pieces of the given sizes."""
    parser = MultipartParser(boundary, limits=limits or MultipartLimits())
    parts, ended = [], False
    at, pieces = 0, itertools.cycle(sizes or [len(data)])
    while at < len(data):
        size = next(pieces)
        for event in parser.feed(data[at : at + size]):
            match event:
                case PartStart(headers):
                    parts.append([headers, b"", False])
                case PartData(view):
                    assert len(view) > 0
                    parts[-1][1] += view
                case PartEnd():
                    parts[-1][2] = True
                case End():
                    ended = True
        at += size
    parser.finish()
    assert ended
    assert all(complete for _, _, complete in parts)
    return [(headers, body) for headers, body, _ in parts]


def bodies(data, **options):
    return [body for _, body in parse(data, **options)]


def test_what_is_written_is_read():
    assert parse(message(b"one", b"", b"three")) == [
        ({"content-type": "application/dicom"}, b"one"),
        ({"content-type": "application/dicom"}, b""),
        ({"content-type": "application/dicom"}, b"three"),
    ]


def test_a_message_without_parts_is_empty():
    assert parse(message()) == []


@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=200),
            # What looks like a boundary, and is none.
            st.lists(
                st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"b0undary", b"b0", b"x"]),
                max_size=12,
            ).map(b"".join),
        ),
        max_size=4,
    ),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_pieces_of_any_size_give_the_same_parts(contents, sizes):
    # The one thing a body can't hold is the boundary itself, as a line.
    contents = [
        body.replace(b"--b0undary", b"--b0undarx").replace(b"-b0undary", b"-b0") + b"."
        for body in contents
    ]
    assert bodies(message(*contents), sizes=sizes) == contents


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_line_that_only_begins_like_the_boundary_is_content(size):
    body = b"a\r\n--b0undaryX\r\n--b0undar\r\n--b0undary-\r\n\r\n"
    assert bodies(message(body, body), sizes=[size]) == [body, body]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_preamble_epilogue_and_padding_are_skipped(size):
    data = b"hello\r\n--b0undary \t\r\nA: 1\r\n\r\nbody\r\n--b0undary--  \r\nbye\r\n--b0undary\r\n"
    assert parse(data, sizes=[size]) == [({"a": "1"}, b"body")]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_parts_without_headers_and_without_bodies_are_parts(size):
    data = (
        b"--b0undary\r\n\r\nno headers\r\n"
        b"--b0undary\r\nA: no body\r\n\r\n--b0undary\r\n\r\n\r\n--b0undary--"
    )
    assert parse(data, sizes=[size]) == [({}, b"no headers"), ({"a": "no body"}, b""), ({}, b"")]


def test_header_names_lose_their_case_and_continued_lines_are_joined():
    headers = b"Content-TYPE: application/dicom;\r\n\t a=b\r\nX:1\r\nx:2\r\n"
    data = b"--b0undary\r\n" + headers + b"\r\n\r\n--b0undary--"
    assert parse(data)[0][0] == {"content-type": "application/dicom; a=b", "x": "1"}


def test_bodies_are_views_into_what_was_fed():
    parser = MultipartParser(BOUNDARY)
    list(parser.feed(part_opening(BOUNDARY, {})))
    piece = bytes(64 * 1024)
    parser.feed(piece[:100])
    (event,) = parser.feed(piece)
    assert event.data.obj is piece
    assert len(event.data) == len(piece)


def test_one_byte_at_a_time_keeps_nothing_but_what_is_undecided():
    parser = MultipartParser(BOUNDARY)
    parser.feed(part_opening(BOUNDARY, {}))
    for byte in b"\r\n--b0undar" * 100:
        parser.feed(bytes([byte]))
        assert len(parser._carry) <= len(b"\r\n--b0undary") + 128


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"--b0undary",
        b"--b0undary\r\nA: 1\r\n",
        b"--b0undary\r\n\r\nbody",
        b"--b0undary\r\n\r\nbody\r\n--b0undary",
        b"--b0undary\r\n\r\nbody\r\n--b0undary-",
        b"--b0undary\r\n\r\nbody\r\n--b0undary\r\n",
    ],
)
def test_a_message_cut_short_is_an_error(data):
    with pytest.raises(MultipartError, match="ends before"):
        parse(data)


def test_a_wrong_boundary_is_noticed_before_the_whole_body_has_passed():
    with pytest.raises(MultipartError, match="does not begin"):
        MultipartParser("another").feed(message(bytes(10_000)))


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_headers_without_end_are_refused(size):
    data = b"--b0undary\r\n" + b"A: 1\r\n" * 10_000
    with pytest.raises(MultipartError, match="exceed"):
        parse(data, sizes=[size])


def test_more_parts_than_allowed_are_refused():
    with pytest.raises(MultipartError, match="more than 3 parts"):
        parse(message(*[b""] * 4), limits=MultipartLimits(parts=3))


def test_a_header_line_without_a_name_is_refused():
    with pytest.raises(MultipartError, match="header line"):
        parse(b"--b0undary\r\nnonsense\r\n\r\n\r\n--b0undary--")


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', "abc"),
        ("multipart/related; type=application/dicom; boundary=abc", "abc"),
        ('Multipart/Related;boundary="a b:c/d?";type=application/dicom', "a b:c/d?"),
        (r'multipart/related; x="quo\"te; boundary=no"; boundary=yes', "yes"),
        ("multipart/form-data ; ; boundary=abc ;", "abc"),
        (content_type_of("application/dicom", "abc"), "abc"),
    ],
)
def test_the_boundary_is_found(text, boundary):
    assert boundary_of(text) == boundary


@pytest.mark.parametrize(
    "text",
    [
        "",
        "multipart",
        "application/dicom; boundary=abc",
        "multipart/related",
        "multipart/related; boundary=",
        'multipart/related; boundary="unclosed',
        "multipart/related; boundary=" + "a" * 71,
        'multipart/related; boundary="a\r\nb"',
        'multipart/related; boundary="ends with space "',
        'multipart/related; boundary="\u00e9"',
        "multipart/related; " + "a=b;" * 10_000,
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(text):
    with pytest.raises(MultipartError):
        boundary_of(text)


@given(st.text())
def test_any_content_type_is_parsed_or_refused(text):
    with contextlib.suppress(MultipartError):
        assert "/" in parse_media_type(text).essence


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b"--b0undary", b"\r\n", b"--b0undary--", b"A: b", b"\r\n\r\n", b"-"]),
        ),
        max_size=20,
    ),
    st.integers(1, 20),
)
def test_any_bytes_are_parsed_or_refused(pieces, size):
    data = b"".join(pieces)
    try:
        whole = parse(data)
    except MultipartError:
        with pytest.raises(MultipartError):
            parse(data, sizes=[size])
    else:
        assert parse(data, sizes=[size]) == whole


def test_a_header_can_not_smuggle_a_line():
    with pytest.raises(ValueError, match="line end"):
        part_opening(BOUNDARY, {"Content-Type": "a\r\nX: y"})


def test_boundaries_are_well_formed_and_never_repeat():
    assert boundary_of(f"multipart/related; boundary={new_boundary()}")
    assert new_boundary() != new_boundary()


async def chunks(data, size):
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 10, 10_000])
async def test_parts_are_read_one_after_the_other(size):
    found = [
        (part.content_type, b"".join([bytes(piece) async for piece in part]))
        async for part in read_parts(chunks(message(b"one", b"", b"two"), size), BOUNDARY)
    ]
    assert found == [("application/dicom", body) for body in (b"one", b"", b"two")]


async def test_a_part_that_is_not_read_is_skipped():
    seen = 0
    async for part in read_parts(chunks(message(b"a" * 100, b"b" * 100, b"c"), 10), BOUNDARY):
        seen += 1
        async for _ in part:
            break
    assert seen == 3


async def test_a_cut_is_noticed_while_the_body_is_read():
    parts = read_parts(chunks(message(bytes(100))[:-20], 10), BOUNDARY)
    body = aiter(await anext(parts))
    with pytest.raises(MultipartError, match="ends before"):
        [piece async for piece in body]


def test_what_came_before_an_error_is_told_before_the_error():
    parser = MultipartParser("B", limits=MultipartLimits(parts=2))
    events = parser.feed(b"--B\r\n\r\none\r\n--B\r\n\r\ntwo\r\n--B\r\n\r\nthree\r\n--B--")
    assert [bytes(event.data) for event in events if isinstance(event, PartData)] == [
        b"one",
        b"two",
    ]
    for go_on in (lambda: parser.feed(b"x"), parser.finish):
        with pytest.raises(MultipartError, match="more than 2 parts"):
            go_on()
