"""Text of every character set becomes Unicode, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.charset import DEFAULT_DECODER, decoder_for, fold_name

EXAMPLES = {
    # PS3.5 Annexes H, I, J and K, and PS3.3 C.12.1.1.2.
    "latin": (["ISO_IR 100"], b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    "cyrillic": (["ISO_IR 144"], b"\xbb\xee\xda^\xe4\xee\xda", "Люк^фюк"),
    "greek": (["ISO_IR 126"], b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    "hebrew": (["ISO_IR 138"], b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
    "arabic": (["ISO_IR 127"], b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    "thai": (["ISO_IR 166"], b"\xca\xc1\xaa\xd2\xc2", "สมชาย"),
    "utf-8": (["ISO_IR 192"], "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    "gb18030": (["GB18030"], b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
    "gbk": (["GBK"], b"\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东"),
    "katakana": (["ISO_IR 13"], b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "kanji": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        "Yamada^Tarou=山田^太郎",
    ),
    "kanji and katakana": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ=山田^太郎",
    ),
    "hangul": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
        "Hong^Gildong=洪^吉洞",
    ),
    "simplified chinese": (
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
        "Zhang^XiaoDong=张^小东",
    ),
    "latin and cyrillic": (
        ["ISO 2022 IR 100", "ISO 2022 IR 144"],
        b"J\xe9r\xf4me \x1b-L\xbb\xee\xda\r\nJ\xe9r\xf4me",
        "Jérôme Люк\r\nJérôme",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_standards_examples_read_as_they_are_printed(name):
    terms, value, text = EXAMPLES[name]
    assert decoder_for(terms)(value) == text


def test_a_kanji_whose_half_is_a_backslash_is_not_split():
    assert decoder_for(["ISO_IR 13"])("表".encode("shift_jis")) == "表"
    assert decoder_for(["GBK"])("俓\\B".encode("gbk")) == "俓\\B"


@pytest.mark.parametrize(
    "terms", [[], [None], [""], ["ISO_IR 6"], ["no such set"], ["zip", "rot13"]]
)
def test_what_is_not_known_is_latin(terms):
    assert decoder_for(terms)(b"\xe9\xff") == "éÿ"


@pytest.mark.parametrize("term", ["ISO-IR 144", "ISO IR 144", "iso_ir 144", "ISO_IR 144 "])
def test_slips_of_the_pen_are_understood(term):
    assert decoder_for([term])(b"\xbb") == "Л"


def test_an_escape_sequence_that_was_not_announced_is_obeyed():
    decode = decoder_for(["", "ISO 2022 IR 87"])
    assert decode(b"\x1b-L\xbb") == "Л"


def test_what_a_set_does_not_have_becomes_a_replacement_character():
    assert decoder_for(["ISO_IR 192"])(b"a\xffb") == "a\N{REPLACEMENT CHARACTER}b"
    assert decoder_for(["", "ISO 2022 IR 87"])(b"\x1b$Z!") == "$Z!"


@pytest.mark.parametrize("terms", [example[0] for example in EXAMPLES.values()])
@given(value=st.binary(max_size=40))
def test_any_bytes_become_text_that_json_can_carry(terms, value):
    text = decoder_for(terms)(value)
    assert msgspec.json.decode(msgspec.json.encode(text)) == text


@given(st.binary(max_size=40))
def test_the_default_decoder_loses_nothing(value):
    assert DEFAULT_DECODER(value).encode("latin_1") == value


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("MÜLLER^Jörg^^^", "muller^jorg"),
        ("Straße", "strasse"),
        ("D*e?", "d*e?"),
        ("王^小東=", "王^小東"),
    ],
)
def test_names_are_compared_without_case_and_accents(name, folded):
    assert fold_name(name) == folded
