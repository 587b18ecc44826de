"""What an Instance Availability Notification says."""

from edge.dicom.availability import Available, notification
from edge.dicom.identifier import read_identifier, write_identifier
from edge.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN


def test_it_names_each_instance_below_its_series_and_nothing_else():
    one, two = (Available("1.2", "1.9", f"1.2.{n}", "ONLINE") for n in (1, 2))
    other = Available("1.3", "1.9", "1.3.1", "NEARLINE")
    said = notification("1", ["7.1"], [one, other, two], "EDGE")
    assert sorted(said) == ["00081111", "00081115", "0020000D"]
    series = said["00081115"]["Value"]
    assert [item["0020000E"]["Value"] for item in series] == [["1.2"], ["1.3"]]
    assert [len(item["00081199"]["Value"]) for item in series] == [2, 1]
    assert series[1]["00081199"]["Value"][0]["00080056"]["Value"] == ["NEARLINE"]
    (step,) = said["00081111"]["Value"]
    assert step["00404019"] == {"vr": "SQ"}
    written = write_identifier(said, IMPLICIT_VR_LITTLE_ENDIAN)
    read = read_identifier(written, IMPLICIT_VR_LITTLE_ENDIAN)
    assert read["0020000D"]["Value"] == ["1"]
    assert len(read["00081115"]["Value"]) == 2
