"""What a correction in an archive leaves as it is, and what it does not."""

from __future__ import annotations

import copy
import io
import random

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from edge.dicom.essence import Essence, Likeness, is_comparable
from edge.errors import NotDicom
from tests import samples
from tests.dicom.streams import element, implicit, item, part10, sequence

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def essence(data, size=1 << 16):
    taken = Essence()
    for at in range(0, len(data), size):
        taken.update(data[at : at + size])
    return taken.digest()


def read(data):
    return pydicom.dcmread(io.BytesIO(data), force=True)


def written(dataset):
    target = io.BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def levels(dataset):
    """A data set and every item in it; each element is understood on the way."""
    yield dataset
    for one in dataset:
        if one.VR == "SQ":
            for within in one.value:
                yield from levels(within)


def with_lengths(dataset, *, undefined):
    for level in levels(dataset):
        for one in level:
            if one.VR == "SQ":
                one.is_undefined_length = undefined
                for within in one.value:
                    within.is_undefined_length_sequence_item = undefined
    return written(dataset)


def corrected(dataset):
    """As dcm4chee would: with new demographics, and a trace of the old ones."""
    before = Dataset()
    before.PatientID = dataset.get("PatientID", "")
    trace = Dataset()
    trace.ModifiedAttributesSequence = Sequence([before])
    trace.AttributeModificationDateTime = "20240615120000"
    dataset.PatientName = "Synthetic^Corrected"
    dataset.PatientID = "SYN-CORRECTED-1"
    dataset.IssuerOfPatientID = "SYNTHETIC"
    dataset.AccessionNumber = "A-2"
    dataset.StudyDescription = "Another one"
    dataset.OriginalAttributesSequence = Sequence([trace])
    if "PatientBirthDate" in dataset:
        del dataset.PatientBirthDate
    return written(dataset)


@pytest.fixture
def ours(legal_file):
    return legal_file.read_bytes()


def test_pieces_of_any_size_make_the_same(ours):
    assert essence(ours, 7) == essence(ours, 1021) == essence(ours, 1 << 30)


def test_a_correction_of_demographics_makes_no_difference(ours):
    dataset = read(ours)
    try:
        theirs = corrected(dataset)
    except TypeError:
        pytest.skip("pydicom can't write it")
    assert theirs != ours
    assert essence(theirs) == essence(ours)


def test_text_in_another_character_set_makes_no_difference(ours):
    dataset = read(ours)
    dataset.decode()
    for level in levels(dataset):
        if level is dataset or "SpecificCharacterSet" in level:
            level.SpecificCharacterSet = "ISO_IR 192"
    assert essence(written(dataset)) == essence(ours)


@pytest.mark.parametrize("undefined", [True, False])
def test_lengths_of_sequences_make_no_difference(ours, undefined):
    assert essence(with_lengths(read(ours), undefined=undefined)) == essence(ours)


@pytest.mark.parametrize("syntax", NATIVE)
def test_explicit_or_implicit_vr_makes_no_difference(ours, syntax):
    dataset = read(ours)
    if dataset.file_meta.TransferSyntaxUID not in NATIVE:
        pytest.skip("it is neither")
    assert list(levels(dataset))
    dataset.file_meta.TransferSyntaxUID = syntax
    assert essence(written(dataset)) == essence(ours)


def another(value, rng):
    """A value of the same kind that says something else."""
    if isinstance(value, bytes):
        at = rng.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]
    if isinstance(value, str):
        return value + "9" if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value - 1 if value > 0 else value + 1
    return None


def choose(dataset, rng):
    """An element of the data set or of some item that is to be changed, and its level."""
    found = []
    for level in levels(dataset):
        for one in level:
            kind = one.VR not in ("SQ", "AT", "PN", "DS", "IS", "UI", "CS", "DA", "TM", "DT", "AS")
            # Of the data set itself, a group of patient or study may be a correction.
            outer = level is dataset and (
                one.tag.group in (0x0008, 0x0010) or one.tag == 0x00200010
            )
            if kind and not outer and one.tag.element and one.tag != 0x00080005 and one.value:
                found.append((level, one))
    return rng.choice(found) if found else None


@pytest.mark.parametrize("seed", range(4))
def test_any_other_value_makes_a_difference(ours, seed):
    dataset = read(ours)
    rng = random.Random(f"{seed} {len(ours)}")
    for _ in range(20):
        chosen = choose(dataset, rng)
        if chosen is None:
            pytest.skip("it has none that could be changed")
        level, one = chosen
        value = another(one.value, rng)
        if value is None or one.tag == 0xFFFCFFFC:
            continue
        before = essence(written(copy.deepcopy(dataset)))
        level[one.tag].value = value
        theirs = Likeness()
        theirs.update(written(dataset))  # of fragments, it may be no DICOM any more
        assert theirs.essence() != before, one.tag
        return
    pytest.skip("nothing could be changed")


@pytest.fixture
def part():
    (made,) = samples.ct_series(1, rows=32, columns=32)
    return made.data


def test_another_pixel_makes_a_difference(part):
    dataset = read(part)
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 1
    dataset.PixelData = bytes(pixels)
    assert essence(written(dataset)) != essence(part)


@pytest.mark.parametrize(
    "keyword", ["PatientComments", "ProtocolName", "StudyInstanceUID", "SOPInstanceUID"]
)
def test_another_attribute_makes_a_difference(part, keyword):
    dataset = read(part)
    setattr(dataset, keyword, "1.2.3")
    assert essence(written(dataset)) != essence(part)


def test_a_private_attribute_makes_a_difference(part):
    dataset = read(part)
    block = dataset.private_block(0x0029, "SYNTHETIC", create=True)
    block.add_new(1, "LO", "one")
    one = written(dataset)
    block[1].value = "two"
    assert len({essence(part), essence(one), essence(written(dataset))}) == 3


def test_an_attribute_less_makes_a_difference(part):
    dataset = read(part)
    del dataset.Modality
    assert essence(written(dataset)) != essence(part)


def test_what_was_made_anonymous_is_no_correction(part):
    dataset = read(part)
    dataset.PatientIdentityRemoved = "YES"
    assert essence(written(dataset)) != essence(part)


def test_patient_attributes_within_a_sequence_are_no_demographics(part):
    def within(patient_id):
        referred = Dataset()
        referred.PatientID = patient_id
        dataset = read(part)
        dataset.ReferencedPatientSequence = Sequence([referred])
        return written(dataset)

    assert essence(within("one")) != essence(within("two"))


def test_the_order_of_items_makes_a_difference_and_that_of_elements_does_not():
    first, second = (item(element(0x00080100, b"SH", it)) for it in (b"A ", b"B "))
    modality, uid = element(0x00080060, b"CS", b"CT"), element(0x0020000D, b"UI", b"1.2\0")
    one, other = sequence(0x00082218, first, second), sequence(0x00082218, second, first)
    assert essence(part10(modality + one + uid)) != essence(part10(modality + other + uid))
    assert essence(part10(uid + one + modality)) == essence(part10(modality + one + uid))


def test_padding_group_lengths_and_trailing_padding_make_no_difference():
    plain = element(0x00080060, b"CS", b"CT") + element(0x00180015, b"CS", b"HEAD")
    padded = (
        element(0x00080000, b"UL", bytes(4))
        + element(0x00080060, b"CS", b"CT  ")
        + element(0x00180015, b"CS", b"HEAD\0\0")
        + element(0xFFFCFFFC, b"OB", bytes(64))
    )
    assert essence(part10(plain)) == essence(part10(padded))


def test_what_a_character_set_does_not_have_is_compared_as_it_stands():
    def named(last):
        charset = element(0x00080005, b"CS", b"ISO_IR 192")
        return part10(charset + element(0x00081010, b"SH", b"caf" + last))

    assert essence(named(b"\xe9")) != essence(named(b"\xe8"))
    latin = element(0x00080005, b"CS", b"ISO_IR 100") + element(0x00081010, b"SH", b"caf\xe9")
    charset = element(0x00080005, b"CS", b"ISO_IR 192")
    utf8 = charset + element(0x00081010, b"SH", "café".encode() + b" ")
    assert essence(part10(latin)) == essence(part10(utf8))


def test_private_numbers_that_look_like_padded_text_are_not_the_same():
    def private(value):
        return part10(
            implicit(0x00290010, b"ACME") + implicit(0x00291001, value), "1.2.840.10008.1.2"
        )

    assert len({essence(private(it)) for it in (b"A ", b"A\0", b"A\0\0\0")}) == 3


def test_fragments_are_compared_with_their_lengths():
    def pixels(*fragments):
        start = element(0x7FE00010, b"OB", length=0xFFFFFFFF)
        body = b"".join(map(item, (b"", *fragments))) + b"\xfe\xff\xdd\xe0" + bytes(4)
        modality = element(0x00080060, b"CS", b"CT")
        return part10(modality + start + body, "1.2.840.10008.1.2.4.50")

    some = [pixels(b"\xff\xd8ab"), pixels(b"\xff\xd8", b"ab"), pixels(b"\xff\xd8ac")]
    assert len({essence(it, 5) for it in some}) == 3
    big = [pixels(b"\xff\xd8" + bytes(200_000) + it) for it in (b"ab", b"ac")]
    assert essence(big[0]) != essence(big[1])
    assert essence(big[0]) == essence(big[0], 977)


def test_transfer_syntaxes_are_the_same_or_native_little_endian():
    assert is_comparable(*NATIVE)
    assert is_comparable("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.50")
    assert not is_comparable(ExplicitVRLittleEndian, "1.2.840.10008.1.2.2")
    data = element(0x00080060, b"CS", b"CT")
    assert essence(part10(data)) != essence(part10(data, "1.2.840.10008.1.2.4.50"))


def test_what_is_cut_off_or_no_dicom_has_no_essence(part):
    for data in (part[:-1], part[:100], b"", b"<html>" * 100):
        with pytest.raises(NotDicom):
            essence(data)


def test_more_open_elements_than_can_be_held_are_not_compared(monkeypatch):
    monkeypatch.setattr("edge.dicom.essence._MOST", 20)
    items = [item(element(0x00080100, b"SH", b"A ") * 9) for _ in range(9)]
    assert essence(part10(sequence(0x00082218, *items)))
    with pytest.raises(NotDicom, match="too many"):
        essence(part10(sequence(0x00082218, *items, *items)))


def test_a_likeness_digests_also_what_it_does_not_understand(part):
    whole, cut = Likeness(), Likeness()
    whole.update(part)
    cut.update(part[:-1])
    assert whole.essence() == essence(part)
    assert cut.essence() is None
    assert whole.digests()[0] == cut.digests()[0]
    assert whole.digests()[1] != cut.digests()[1]
