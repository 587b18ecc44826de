"""What data sets say of how they are shown, functional groups included."""

from edge.pixels.display import Display, Lut
from edge.pixels.presentation import Window


def numbers(*values, vr="DS"):
    return {"vr": vr, "Value": list(values)}


def sequence(*items):
    return {"vr": "SQ", "Value": list(items)}


def text(value):
    return {"vr": "CS", "Value": [value]}


WINDOW = {"00281050": numbers(40.0, 60.0), "00281051": numbers(400.0, 0.0)}


def test_an_empty_data_set_is_shown_plainly():
    assert Display.of({}, 1) == Display()


def test_windows_that_have_a_width_are_taken_with_their_function():
    assert Display.of(WINDOW, 1).windows == (Window(40, 400),)
    assert Display.of(WINDOW | {"00281056": text("SIGMOID")}, 1).windows == (
        Window(40, 400, "SIGMOID"),
    )


def test_text_where_numbers_belong_is_passed_over():
    broken = {"00281050": numbers("forty"), "00281051": numbers(400.0)}
    assert Display.of(broken | {"00281053": numbers("x", None)}, 1) == Display()


def test_a_frames_own_groups_come_before_the_shared_ones_and_those_before_the_data_set():
    def group(slope, center):
        return {
            "00289145": sequence({"00281053": numbers(slope), "00281052": numbers(slope)}),
            "00289132": sequence({"00281050": numbers(center), "00281051": numbers(10.0)}),
            "00289110": sequence({"00280030": numbers(slope, 1.0)}),
        }

    attributes = WINDOW | {
        "00281053": numbers(9.0),
        "52009229": sequence(group(2.0, 20.0)),
        "52009230": sequence(group(3.0, 30.0), {}),
    }
    first, second, third = (Display.of(attributes, number) for number in (1, 2, 3))
    assert (first.slope, first.intercept, first.windows[0].center, first.aspect) == (3, 3, 30, 3)
    assert second == third
    assert (second.slope, second.windows[0].center, second.aspect) == (2, 20, 2)


def test_palettes_come_as_binary_or_as_numbers_and_of_one_missing_none_is_used():
    attributes = {"00280004": text("PALETTE COLOR")}
    for number in (1, 2, 3):
        attributes[f"0028110{number}"] = numbers(4, 0, 8, vr="US")
        attributes[f"0028120{number}"] = {"vr": "OW", "InlineBinary": "AAECAw=="}
    expected = Lut(4, 0, 8, b"\0\1\2\3")
    assert Display.of(attributes, 1).palette == (expected,) * 3
    attributes["00281201"] = numbers(0x100, 0x302, vr="US")
    assert Display.of(attributes, 1).palette == (expected,) * 3
    del attributes["00281202"]
    assert Display.of(attributes, 1).palette == ()


def test_tables_that_lie_about_their_length_are_not_used():
    item = {"00283002": numbers(65535, 0, 16, vr="US"), "00283006": {"InlineBinary": "AAAA"}}
    assert Display.of({"00283010": sequence(item)}, 1).voi_lut is None
    assert Display.of({"00283000": sequence({"00283002": numbers(1)})}, 1).modality_lut is None
    for described in ((-5, 0, 16), (1 << 40, 0, 16), (1, 1 << 40, 16), (1, 0, 17), (1, 0, 0)):
        item["00283002"] = numbers(*described)
        assert Display.of({"00283010": sequence(item)}, 1).voi_lut is None


def test_padding_is_a_range_whichever_end_comes_first():
    attributes = {"00280120": numbers(-2000, vr="SS"), "00280121": numbers(-2048, vr="SS")}
    assert Display.of(attributes, 1).padding == (-2048, -2000)


def test_the_shape_of_pixels_follows_from_their_ratio_or_their_spacing():
    assert Display.of({"00280034": numbers(2, 1, vr="IS")}, 1).aspect == 2
    assert Display.of({"00280030": numbers(0.5, 1.0)}, 1).aspect == 0.5
    assert Display.of({"00280030": numbers(1e-9, 1e9)}, 1).aspect == 1
