"""Parameters of rendered resources: read as PS3.18 8.3.5 says, or refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicomweb.presentation import RENDERED_PARAMETERS, annotation_headers, presentation_of
from edge.dicomweb.responses import Refused
from edge.pixels.presentation import Presentation, Region, Viewport, Window


def test_without_parameters_the_data_set_decides():
    assert presentation_of({}) == Presentation()


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400,linear", Window(40, 400, "LINEAR")),
        ("-0.5,1e3,linear-exact", Window(-0.5, 1000, "LINEAR_EXACT")),
        ("+7,.25,SIGMOID", Window(7, 0.25, "SIGMOID")),
    ],
)
def test_a_window(text, window):
    assert presentation_of({"window": text}).window == window


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("64,48", Viewport(64, 48)),
        ("64,48,1,2,3,4", Viewport(64, 48, Region(1, 2, 3, 4))),
        ("64,48,,,-3,4.5", Viewport(64, 48, Region(0, 0, -3, 4.5))),
        ("64,48,5", Viewport(64, 48, Region(5, 0, 65536, 65536))),
    ],
)
def test_a_viewport(text, viewport):
    assert presentation_of({"viewport": text}).viewport == viewport


@pytest.mark.parametrize("value", ["no", "yes", "srgb", "adobergb", "rommrgb"])
def test_a_profile(value):
    assert presentation_of({"iccprofile": value}).icc_profile == value


@pytest.mark.parametrize(
    "query",
    [
        *({"window": text} for text in ("", "40", "40,400", "40,400,", "a,1,linear", "1,b,linear")),
        *(
            {"window": text}
            for text in ("1,2,cubic", "1,0.5,linear", "1,0,sigmoid", "nan,1,linear")
        ),
        *({"window": text} for text in ("1e999,1,linear", "1,inf,linear", "1,2,linear,3")),
        *({"viewport": text} for text in ("", "32", "32,", "a,b", "0,0", "-5,5", "1.5,2")),
        *({"viewport": text} for text in ("9,9,0,0,0,0,0", "9,9,0,0,0,1", "60000,60000", "9,9,-1")),
        *({"viewport": text} for text in ("9,9,1e9,1e9,-1e9,-1e9", "9,9,nan,inf,1,1", "9" * 999)),
        *({"quality": text} for text in ("", "0", "101", "-1", "50.5", "good", "9" * 999)),
        *({"iccprofile": text} for text in ("", "purple", "../etc/passwd")),
    ],
    ids=lambda query: str(query)[:40],
)
def test_what_is_refused(query):
    with pytest.raises(Refused) as raised:
        presentation_of(query)
    assert raised.value.status == 400


@given(
    st.dictionaries(
        st.sampled_from(["window", "viewport", "quality", "iccprofile"]), st.text(max_size=40)
    )
)
def test_whatever_is_sent_is_read_or_refused(query):
    with contextlib.suppress(Refused):
        assert isinstance(presentation_of(query), Presentation)


def test_annotations_are_said_not_to_be_burned_in():
    headers = annotation_headers({"annotation": "patient,technique,\r\nSet-Cookie: x"})
    assert headers == {
        "Warning": '299 edge "The following annotation values are not supported: '
        'patient, technique"'
    }
    assert annotation_headers({}) == {}
    with pytest.raises(Refused):
        annotation_headers({"annotation": ""})
    assert "annotation" not in {parameter.name for parameter in RENDERED_PARAMETERS}
