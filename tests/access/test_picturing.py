"""What a phone reads from a screen."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from edge.access import totp
from edge.access.picturing import picture_of
from tests import qr

KEY = " ".join(f"A{number}C{number}E" for number in range(10, 21))
"""As long as a recovery key."""


@pytest.mark.parametrize("text", [totp.uri_of(bytes(20), "anna", "edge"), KEY, "<&>é"])
def test_the_picture_is_a_drawing_without_a_script(text):
    root = ET.fromstring(picture_of(text))
    assert root.tag.endswith("svg")
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "path", "g"}
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)


def test_a_phone_reads_what_was_said():
    assert qr.read(qr.of_svg(picture_of(KEY))) == KEY
