"""What a file is by its first bytes, and which files make one medium."""

import pytest

from edge.dropfolder.media import Kind, is_litter, kind_of, listed_files, units
from edge.dropfolder.tree import Entry
from tests import samples

TINY = samples.dicomdir_media() / "TINY_ALPHA"


def entry(path):
    return Entry(tuple(path.split("/")), 1, 1, 1, 1)


def keys(*paths):
    return [("/".join(unit.key), unit.is_medium) for unit in units(map(entry, paths))]


@pytest.mark.parametrize("path", samples.legal_files(), ids=lambda path: path.name)
def test_an_instance_is_dicom(path):
    assert kind_of(path.read_bytes()[:4096]) is Kind.DICOM


@pytest.mark.parametrize("path", sorted(samples.dicomdir_media().rglob("DICOMDIR*")))
def test_a_dicomdir_is_a_directory_by_any_name(path):
    assert kind_of(path.read_bytes()[:4096]) is Kind.DIRECTORY


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Kind.OTHER),
        (b"PK\x03\x04" + bytes(200), Kind.ZIP),
        (b"PK\x05\x06" + bytes(18), Kind.ZIP),
        (b"PK\x03\x04" + bytes(124) + b"DICM", Kind.DICOM),
        (b"MZ" + bytes(126) + b"DICM", Kind.DICOM),
        (bytes(128) + b"DIC", Kind.OTHER),
        (bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI", Kind.DICOM),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", Kind.OTHER),
    ],
)
def test_any_head_is_some_kind(head, kind):
    assert kind_of(head) is kind


def test_a_dicomdir_lists_its_files():
    listed = listed_files((TINY / "DICOMDIR").read_bytes())
    assert len(listed) == 50
    assert ("pt000000", "st000000", "se000000", "im00001d") in listed


@pytest.mark.parametrize(
    "data", [b"", b"junk", b"\x04\x00\x00\x15CS", b"\x04\x00\x00\x15CS\xff\xffA"]
)
def test_a_dicomdir_that_is_none_lists_nothing_that_is_there(data):
    assert listed_files(data) <= {("a",)}


@pytest.mark.parametrize(
    "name", ["PT000000/ST000000/SE000000/IM000000.;1", "pt000000/st000000/se000000/im000000"]
)
def test_a_listed_file_is_known_in_every_spelling_of_a_file_system(name):
    (medium,) = units([entry("cd/DICOMDIR"), entry(f"cd/{name}"), entry("cd/README")])
    listed = listed_files((TINY / "DICOMDIR").read_bytes())
    found = {item.parts[-1]: medium.lists(listed, item) for item in medium.entries}
    assert found == {"DICOMDIR": False, name.split("/")[-1]: True, "README": False}


def test_files_without_a_medium_stand_alone():
    assert keys("b", "a/c") == [("a/c", False), ("b", False)]


def test_the_topmost_folder_with_a_dicomdir_makes_the_medium():
    assert keys(
        "in/cd/DICOMDIR", "in/cd/x/dicomdir", "in/cd/x/1", "in/cd2/DICOMDIR.;1", "in/cd2/1", "in/2"
    ) == [("in/cd", True), ("in/cd2", True), ("in/2", False)]


def test_a_folder_whose_name_begins_alike_is_not_of_the_medium():
    assert keys("cd/DICOMDIR", "cd1/a") == [("cd", True), ("cd1/a", False)]


def test_the_drop_folder_itself_is_never_a_medium():
    assert keys("DICOMDIR", "a/1", "letter.pdf") == [
        ("DICOMDIR", False),
        ("a/1", False),
        ("letter.pdf", False),
    ]


def test_only_the_top_of_a_medium_counts_as_its_directory():
    (medium,) = units([entry("cd/DICOMDIR"), entry("cd/x/DICOMDIR")])
    assert [item.parts for item in medium.directories()] == [("cd", "DICOMDIR")]


@pytest.mark.parametrize(
    ("path", "litter"),
    [
        ("a/.DS_Store", True),
        ("THUMBS.DB", True),
        ("__MACOSX/x/IM1", True),
        ("._IM1", True),
        ("IM1", False),
        ("README.TXT", False),
    ],
)
def test_what_systems_leave_everywhere_is_litter(path, litter):
    assert is_litter(tuple(path.split("/"))) == litter
