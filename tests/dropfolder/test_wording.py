"""What hinders the drop folder, in words."""

from edge.dropfolder.wording import Hindrance, Stuck, counted, reason_of, troubles


def said(*stuck, unreadable_folders=0, is_writable=True):
    units = [Stuck(each) for each in stuck]
    found = troubles(units, unreadable_folders=unreadable_folders, is_writable=is_writable)
    return list(found.values())


def test_one_is_one_and_everything_else_is_many():
    assert [counted(number, "file", "files") for number in (0, 1, 2)] == [
        "0 files",
        "1 file",
        "2 files",
    ]


def test_nothing_hinders_unless_something_does():
    assert said() == []


def test_files_are_counted_and_each_reason_is_named_once():
    assert said(
        {Hindrance.DELETE: ("no", "no", "read-only")},
        {Hindrance.DELETE: ("no",), Hindrance.MOVE: ("full",)},
        {Hindrance.READ: ("no",)},
        is_writable=False,
    ) == [
        "its files can't be taken away: 4 admitted files remain (no, read-only)",
        "1 file that is not admitted can't be moved to rejected/ (full)",
        "1 file can't be read (no)",
    ]


def test_folders_hinder_before_there_are_files():
    assert said(unreadable_folders=2, is_writable=False) == [
        "its files can't be taken away: the service may not write the folder",
        "2 folders in it can't be read",
    ]


def test_a_reason_never_holds_the_name_that_an_error_holds():
    assert reason_of(PermissionError(13, "Permission denied", "MILLER")) == "Permission denied"
    assert reason_of(OSError("MILLER")) == "OSError"
