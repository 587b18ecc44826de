"""What the screen of the box says, in the characters that its font has: others stand as blocks.

The image sets no font, so a text console has the kernel's own (VGA, 8x16), and of Unicode what
``drivers/tty/vt/cp437.uni`` of Linux says.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import edge
from edge.console.forms import DiskForm, LogInForm, Question, ResetForm, UnlockForm, harmless
from edge.console.network import NetworkForm
from edge.errors import Needs
from edge.machine.networks import NetworkState
from tests.console.boxes import NEW, FakeBox
from tests.console.test_page import appears, shown

FONT = frozenset(bytes(range(32, 256)).decode("cp437") + "☺☻♥♦◆♣♠•◘○◙♂♀♪♫♬☼▶►◀◄↕‼¶§▬↨↑↓→←∟↔▲▼⌂\n")
HERE = Path(edge.__file__).parent
ITS = [*HERE.glob("console/*.py"), HERE / "commands/console.py"]
OTHERS = [*HERE.glob("pages/alarm*.py"), HERE / "pages/state.py", *HERE.glob("machine/*.py")]
UNSHOWN = frozenset("\r\t\x00\N{REPLACEMENT CHARACTER}") | {chr(0xD800), chr(0xDFFF)}


def texts(path):
    """The strings of a module that are no documentation, and no table of what is replaced."""
    tree = ast.parse(path.read_text("utf-8"))
    passed = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Dict):
            passed |= {id(key) for key in one.keys}
    for one in ast.walk(tree):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in passed:
            yield one.value


@pytest.mark.parametrize("path", ITS, ids=lambda one: one.stem)
def test_the_font_has_each_character_of_the_texts_of_the_screen(path):
    for text in texts(path):
        assert set(text) - UNSHOWN <= FONT, text


@pytest.mark.parametrize("path", OTHERS, ids=lambda one: one.stem)
def test_the_font_has_what_is_shown_of_the_texts_of_others(path):
    for text in texts(path):
        assert set(harmless(text)) - UNSHOWN <= FONT, text


@pytest.mark.parametrize(
    "form",
    [
        LogInForm(),
        NetworkForm(NetworkState().kept, asks_page=True),
        UnlockForm(Needs.NEW_PASSPHRASE),
        ResetForm("the clinic\N{RIGHT SINGLE QUOTATION MARK}s"),
        DiskForm([]),
        Question("Restart?", "It is back …", no="Leave it"),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_the_font_has_each_character_of_what_is_drawn(form):
    view = replace(NEW, troubles=("It can\N{RIGHT SINGLE QUOTATION MARK}t be …",))
    async with shown(FakeBox(view)) as (page, pilot):
        await pilot.pause()
        assert drawn(page) <= FONT
        page.push_screen(form)
        await appears(pilot, type(form))
        await pilot.pause()
        assert drawn(page) <= FONT


def drawn(page):
    """The characters on the screen."""
    strips = page.screen._compositor.render_strips()
    return {char for strip in strips for segment in strip for char in segment.text}
