"""Text in every character set of PS3.3 C.12.1.1.2, written and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes

from edge.dicom.charset import decoder_for
from edge.dicom.text_encoding import encoder_for, utf_8

# Of the examples of PS3.5 Annexes H, I, J and K, and people like them in other scripts.
NAMES = {
    "ISO_IR 100": "Buc^Jérôme",
    "ISO_IR 101": "Wałęsa^Święty",
    "ISO_IR 109": "Ĝustinĥo^Ĉu",
    "ISO_IR 110": "Ķirsis^Ģirts",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 144": "Люкceмбypг",  # noqa: RUF001
    "ISO_IR 148": "Çavuşoğlu^Işık",  # noqa: RUF001
    "ISO_IR 166": "นามสกุล^ชื่อ",
    "ISO_IR 203": "Žižka^Œuvre",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "ISO_IR 192": "Wang^XiaoDong=王^小东=山田^太郎",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Wang^XiaoDong=王^小东",
}
EXTENDED = {
    ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ("", "ISO 2022 IR 87", "ISO 2022 IR 159"): "Yamada^Tarou=丂山^太郎",
    ("", "ISO 2022 IR 149"): "Hong^Gildong=洪^吉洞=홍^길동",
    ("", "ISO 2022 IR 58"): "Zhang^XiaoDong=张^小东=",
    ("ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 144"): "Jérôme Люк^Люк",
    ("ISO 2022 IR 100", "ISO 2022 IR 126", "ISO 2022 IR 87"): "Jérôme^Διο 山é",
}


@pytest.mark.parametrize("term", NAMES)
def test_a_set_without_extensions_is_written_and_read_again(term):
    written = encoder_for([term])(NAMES[term], True)
    assert decoder_for([term])(written) == NAMES[term]
    if term.startswith("ISO_IR") and term != "ISO_IR 192":
        assert len(written) == len(NAMES[term])


@pytest.mark.parametrize("terms", EXTENDED)
def test_code_extensions_are_written_and_read_by_us_and_by_pydicom(terms):
    text = EXTENDED[terms]
    written = encoder_for(terms)(text, True)
    assert b"\x1b" in written
    assert decoder_for(terms)(written) == text
    if "ISO 2022 IR 58" in terms:
        return  # of which pydicom knows no escape sequence
    for group, theirs in zip(text.split("="), written.split(b"="), strict=True):
        assert decode_bytes(theirs, convert_encodings(list(terms)), set("^=")) == group


@pytest.mark.parametrize(
    ("terms", "text", "expected"),
    [
        # PS3.5 H.3.1, H.3.2 and I.2: the examples of the Standard, byte for byte.
        (
            ("", "ISO 2022 IR 87"),
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        ),
        (
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        ),
        (
            ("", "ISO 2022 IR 149"),
            "Hong^Gildong=洪^吉洞=홍^길동",
            (
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7="
                b"\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
            ),
        ),
    ],
)
def test_the_examples_of_the_standard_come_out_byte_for_byte(terms, text, expected):
    assert encoder_for(terms)(text, True) == expected


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ([], "é"),
        (["ISO_IR 100"], "Люк"),
        (["ISO_IR 13"], "山田"),
        (["ISO_IR 13"], "\u00a5"),
        (["", "ISO 2022 IR 87"], "홍"),
        (["ISO 2022 IR 100"], "山"),
        (["GBK"], "\U0001f600"),
    ],
)
def test_what_a_set_does_not_have_is_an_error(terms, text):
    with pytest.raises(UnicodeEncodeError):
        encoder_for(terms)(text, False)


@pytest.mark.parametrize(
    "terms", [["latin-1"], ["ISO-IR 100"], ["ISO_IR 999"], ["ISO_IR 87"], ["ISO_IR 100", "x"]]
)
def test_terms_that_are_none_of_the_standard_have_no_encoder(terms):
    assert encoder_for(terms) is None


@given(
    st.sampled_from([*([one] for one in NAMES), *map(list, EXTENDED)]),
    st.text(st.sampled_from("aZ ~^=\\/éłΛЛשقŞ山田洪홍张ﾔや丂¥‾—\uff0d\u3000")),
    st.booleans(),
)
def test_whatever_is_written_is_read_as_the_same_text(terms, text, is_name):
    try:
        written = encoder_for(terms)(text, is_name)
    except UnicodeEncodeError:
        written = utf_8(text)
        terms = ["ISO_IR 192"]
    assert decoder_for(terms)(written) == text


def test_utf_8_takes_what_no_text_should_hold():
    assert utf_8("a\ud800") == b"a?"
