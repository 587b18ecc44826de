"""Accept headers, as clients really send them, and as none should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicomweb.negotiation import MediaRange, Offer, choose, parse_accept
from edge.dicomweb.responses import Refused

DICOM = Offer("application/dicom", True, "1.2.840.10008.1.2.1")
ALONE = Offer("application/dicom", False, "1.2.840.10008.1.2.1")
OCTETS = Offer("application/octet-stream", True, "1.2.840.10008.1.2.4.50")
JPEG = Offer("image/jpeg", True, "1.2.840.10008.1.2.4.50")
JSON = Offer("application/dicom+json")


@pytest.mark.parametrize(
    ("text", "essence", "parameters", "quality"),
    [
        ("application/dicom+json", "application/dicom+json", {}, 1.0),
        ("*/*", "*/*", {}, 1.0),
        ("image/*;q=0.5", "image/*", {}, 0.5),
        ("Image/JPEG ; Q=0.25", "image/jpeg", {}, 0.25),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            "multipart/related",
            {"type": "application/octet-stream", "transfer-syntax": "*"},
            1.0,
        ),
        (
            'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
            "multipart/related",
            {"type": "application/dicom", "transfer-syntax": "1.2.840.10008.1.2.1"},
            1.0,
        ),
        ('text/plain; note="a, b; \\"c\\""', "text/plain", {"note": 'a, b; "c"'}, 1.0),
        ("multipart/related;;type=*/*;", "multipart/related", {"type": "*/*"}, 1.0),
    ],
)
def test_one_range_is_read(text, essence, parameters, quality):
    assert parse_accept(text) == [MediaRange(essence, parameters, quality)]


def test_several_ranges_are_read_in_order():
    ranges = parse_accept('text/html, multipart/related; type="image/jpeg";q=0.8 ,*/*;q=0.1')
    assert [item.essence for item in ranges] == ["text/html", "multipart/related", "*/*"]
    assert [item.quality for item in ranges] == [1.0, 0.8, 0.1]


@pytest.mark.parametrize(
    "text", ["nonsense", "a/b; q=7", "a/b; q=NaN", 'a/b; c="open', "a/b c/d", "/", "é/é", ";;"]
)
def test_what_is_not_well_formed_is_left_out_and_the_rest_kept(text):
    assert [item.essence for item in parse_accept(f"{text}, image/png")] in (
        ["image/png"],
        [],  # an open quotation mark swallows what follows
    )


def test_no_more_ranges_are_read_than_anybody_needs():
    assert len(parse_accept(",".join(["a/b"] * 1000))) == 64


TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.+-", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=("Cc",)), max_size=20)
RANGES = st.builds(
    MediaRange,
    st.builds("{}/{}".format, TOKENS, TOKENS),
    st.dictionaries(TOKENS.filter(lambda name: name != "q"), VALUES, max_size=4),
    st.integers(0, 1000).map(lambda number: number / 1000),
)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[MediaRange]]:
    """Ranges, and one of the many ways to write them."""
    ranges = draw(st.lists(RANGES, min_size=1, max_size=8))
    texts = []
    for item in ranges:
        text = item.essence
        for name, value in item.parameters.items():
            space = draw(st.sampled_from(["", " ", "  "]))
            plain = value and all(char not in ' \\",;' and char.isascii() for char in value)
            if plain and draw(st.booleans()):
                text += f";{space}{name}={value}"
            else:
                escaped = value.replace("\\", "\\\\").replace('"', '\\"')
                text += f'{space};{name}="{escaped}"'
        if item.quality != 1 or draw(st.booleans()):
            text += f";q={item.quality:.3f}"
        texts.append(text)
    return draw(st.sampled_from([",", ", ", " , "])).join(texts), ranges


@given(written())
def test_whatever_is_written_is_read_back(case):
    text, ranges = case
    assert parse_accept(text) == ranges


@given(st.text(max_size=200))
def test_no_text_confuses_the_reader(text):
    for item in parse_accept(text):
        assert item.essence.count("/") == 1
        assert 0 <= item.quality <= 1


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        ("*/*", [DICOM, ALONE], DICOM),
        ("application/dicom", [DICOM, ALONE], ALONE),
        ("multipart/*", [ALONE, DICOM], DICOM),
        ("multipart/related", [ALONE, DICOM], DICOM),
        ('multipart/related; type="*/*"', [ALONE, DICOM], DICOM),
        ("multipart/related; type=application/dicom; transfer-syntax=*", [DICOM], DICOM),
        ("multipart/related; type=image/*", [OCTETS, JPEG], JPEG),
        ("multipart/related; type=IMAGE/JPEG", [OCTETS, JPEG], JPEG),
        ("multipart/related; type=application/octet-stream", [JPEG, OCTETS], OCTETS),
        (
            "image/jpeg, multipart/related; type=image/jpeg;q=0.1, multipart/related;q=0.2",
            [JPEG, OCTETS],
            OCTETS,
        ),
        ("application/dicom;q=0, */*", [ALONE, DICOM], DICOM),
        ("application/json, application/dicom+json;q=0.5", [JSON], JSON),
        ("application/dicom+json; transfer-syntax=1.2.3", [JSON], JSON),
        (
            "multipart/related; type=application/dicom; transfer-syntax=1.2.3, */*;q=0.1",
            [DICOM],
            DICOM,
        ),
    ],
)
def test_the_best_offer_is_chosen(accept, offers, chosen):
    assert choose(parse_accept(accept), offers) is chosen


PLAIN = Offer("application/dicom", transfer_syntax="1.2.840.10008.1.2.1")
STORED = Offer("application/dicom", transfer_syntax="1.2.840.10008.1.2.5", named=True)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", PLAIN),
        ("application/dicom", PLAIN),
        ("application/dicom; transfer-syntax=*", STORED),
        ("application/dicom; transfer-syntax=*, */*", STORED),
        (f"application/dicom; transfer-syntax={STORED.transfer_syntax}, */*;q=0.5", STORED),
        (f"application/dicom; transfer-syntax={STORED.transfer_syntax};q=0.5, */*", PLAIN),
        (
            f"application/dicom;transfer-syntax={PLAIN.transfer_syntax};q=0, */*;transfer-syntax=*",
            STORED,
        ),
    ],
)
def test_what_is_not_the_default_is_for_who_names_it(accept, chosen):
    assert choose(parse_accept(accept), [STORED, PLAIN]) is chosen


@pytest.mark.parametrize(
    ("accept", "offer", "had"),
    [
        ("text/html", DICOM, 'as multipart/related; type="application/dicom"'),
        ("application/dicom", DICOM, 'as multipart/related; type="application/dicom"'),
        ("multipart/related; type=application/octet-stream", DICOM, "as multipart/related"),
        (
            "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2",
            DICOM,
            "in the transfer syntax 1.2.840.10008.1.2.1",
        ),
        ("*/*;q=0", JSON, "as application/dicom+json"),
        ("application/*, application/dicom+json;q=0", JSON, "as application/dicom+json"),
    ],
)
def test_a_refusal_says_what_could_be_had(accept, offer, had):
    with pytest.raises(Refused) as refused:
        choose(parse_accept(accept), [offer])
    assert refused.value.status == 406
    assert refused.value.hint.startswith(f"it can be had {had}")


@pytest.mark.parametrize("accept", ["text/html", "application/dicom; transfer-syntax=1.2.3"])
def test_a_refusal_is_short_however_much_could_be_had(accept):
    offers = [
        Offer(f"{kind}/{number}" if kind != "application" else "application/dicom", False, syntax)
        for kind in ("application", "image", "video")
        for number in range(9)
        for syntax in (f"1.2.840.10008.1.2.4.{number}", "1.2.840.10008.1.2.1")
    ]
    with pytest.raises(Refused) as refused:
        choose(parse_accept(accept), offers)
    assert 50 < len(refused.value.hint) <= 200
