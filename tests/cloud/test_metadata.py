import pytest

from edge.cloud.metadata import localised

UID = {"00080018": {"vr": "UI", "Value": ["1.2.3"]}}


def test_bulk_values_are_named_by_their_path_at_any_depth():
    theirs = {"vr": "OW", "BulkDataURI": "https://archive.example/bulk/1"}
    inner = {"54001010": theirs, "00080060": {"vr": "CS", "Value": ["ECG"]}}
    dataset = UID | {"7FE00010": theirs, "54000100": {"vr": "SQ", "Value": [{}, inner]}}
    sop_uid, elements = localised(dataset)
    assert sop_uid == "1.2.3"
    assert elements["7FE00010"] == {"vr": "OW", "BulkDataURI": "7FE00010"}
    items = elements["54000100"]["Value"]
    assert items[0] == {}
    assert items[1]["54001010"]["BulkDataURI"] == "54000100/1/54001010"
    assert items[1]["00080060"] == inner["00080060"]
    assert "archive.example" not in str(elements)


def test_the_archives_own_object_is_left_as_it_was():
    dataset = UID | {"7FE00010": {"vr": "OW", "BulkDataURI": "theirs"}}
    localised(dataset)
    assert dataset["7FE00010"]["BulkDataURI"] == "theirs"


def test_sequences_nested_deeply_are_no_recursion():
    dataset = dict(UID)
    level = dataset
    for _ in range(5000):
        item = {}
        level["00081115"] = {"vr": "SQ", "Value": [item]}
        level = item
    assert localised(dataset) is not None


@pytest.mark.parametrize("dataset", [{}, {"00080018": {"vr": "UI"}}])
def test_what_names_no_instance_is_none(dataset):
    assert localised(dataset) is None
