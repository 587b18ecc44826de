"""Every text of the web page is in the catalogue, in every language, and says as much there."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from edge.pages.resources import FOLDER
from edge.pages.words import LANGUAGES, Messages, Words, chosen, read_messages
from tests.pages import words

TEMPLATES = sorted((FOLDER / "templates").rglob("*.html"))
SCRIPTS = sorted((FOLDER / "files" / "js").glob("*.js"))
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def named(path):
    return path.relative_to(FOLDER).as_posix()


def test_every_text_has_a_translation_in_every_language():
    assert words.missing() == [], "scripts/words, then translate what is empty"


@pytest.mark.parametrize("language", words.TRANSLATIONS)
def test_catalogues_hold_what_is_said_and_nothing_else(language):
    wanted = words.wanted()
    files = {path.stem for path in (FOLDER / "catalogue" / language).glob("*.po")}
    assert files == set(wanted), "scripts/words"
    for domain, texts in wanted.items():
        there = {
            message.id if isinstance(message.id, str) else tuple(message.id)
            for message in words.known(language, domain)
            if message.id
        }
        assert there == texts, f"{language}/{domain}.po: scripts/words"


@pytest.mark.parametrize("language", words.TRANSLATIONS)
def test_a_translation_has_the_placeholders_of_its_text(language):
    for path in sorted((FOLDER / "catalogue" / language).glob("*.po")):
        with path.open("rb") as file:
            catalogue = read_po(file, locale=language)
        for message in catalogue:
            if not message.id:
                continue
            assert not message.fuzzy, (path.name, message.id)
            one, *more = [message.id] if isinstance(message.id, str) else message.id
            of = set(PLACEHOLDER.findall(more[0] if more else one))
            strings = [message.string] if isinstance(message.string, str) else message.string
            for string in strings:
                found = set(PLACEHOLDER.findall(string))
                # A form for one or two may spell the number out.
                assert found == of or (more and of - found == {"n"}), (path.name, string)
                assert "%" not in PLACEHOLDER.sub("", string).replace("%%", ""), string
                # It stands in attributes, too, as it is.
                assert not set('<>"') & set(string), string


def bare_texts(template):
    """What a template shows to people by itself: neither a tag nor of the catalogue."""
    text = re.sub(r"\{#.*?#\}", "", template, flags=re.DOTALL)
    said = re.findall(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"', text)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", text, flags=re.DOTALL)
    left = [re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", one, flags=re.DOTALL) for one in said]
    for piece in (*text.split("\n"), *left):
        words_in = re.sub(r"&\w+;|A{4}(-A{4})*", "", piece).strip(" ·:,.|/()")
        if re.search(r"[^\W\d_]", words_in):
            yield words_in


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_says_nothing_that_is_not_in_the_catalogue(path):
    assert list(bare_texts(path.read_text(encoding="utf-8"))) == []


def test_bare_texts_are_found():
    assert list(bare_texts('<p class="x">Hello</p>')) == ["Hello"]
    assert list(bare_texts('<p title="Hello">{{ _("x") }}</p>')) == ["Hello"]
    assert list(bare_texts('{% if a %}<p title="{{ _("x") }}">{{ b }}</p>{% endif %}')) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_a_script_takes_whole_literals_from_the_catalogue(path):
    """Others can't be found, neither by who translates nor by who serves them."""
    script = path.read_text(encoding="utf-8")
    calls = re.findall(r"(?<![\w.])(?:_|ngettext)\(\s*(.)", script)
    defined = 0 if path.stem != "words" else len(re.findall(r"function ngettext\(", script))
    assert calls.count('"') == len(calls) - defined


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_a_script_makes_no_markup_and_runs_no_text(path):
    script = path.read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.search(forbidden, script)
    # What the box made of its own template is the one exception, and stands in one place.
    assert ("DOMParser" in script) == (path.stem == "layout")


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_has_no_inline_script_style_or_handler(path):
    template = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", template)
    assert "|safe" not in template.replace(" ", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_counting_follows_the_language(language):
    folder = FOLDER / "catalogue" / language
    said = Words(language, Messages() if language == "en" else read_messages(folder))
    found = {
        said.ngettext("%(n)s image", "%(n)s images", number).replace(str(number), "#")
        for number in (0, 1, 2, 5, 11, 100)
    }
    assert len(found) == {"en": 2, "fr": 2, "es": 2, "ar": 5}[language]


def test_numbers_and_times_are_written_as_the_language_does():
    folder = FOLDER / "catalogue"
    english, french = Words("en", Messages()), Words("fr", read_messages(folder / "fr"))
    arabic = Words("ar", read_messages(folder / "ar"))
    assert english.bytes(999) == "999\u00a0B"
    assert english.bytes(1_536_000) == "1.5\u00a0MB"
    assert french.bytes(1_536_000) == "1,5\u00a0MB"
    assert arabic.bytes(1_536_000) == "\u20661.5\u00a0MB\u2069"
    assert english.number(1234567) == "1,234,567"
    assert english.percent(0.256) == "26%"
    assert english.duration(7300) == "2 hours"
    assert re.fullmatch(r"\d\d:\d\d", english.moment(1e9, 1e9))
    assert re.fullmatch(r"9 Sept?,? \d\d:\d\d", english.moment(1e9, 1e9 + 7 * 86400))


@pytest.mark.parametrize(
    ("cookie", "header", "language"),
    [
        ("fr", "es", "fr"),
        ("", "es-MX, fr;q=0.5", "es"),
        ("", "de, fr;q=0.3, ar;q=0.8", "ar"),
        ("xx", "de", "en"),
        ("", "es;q=0, fr", "fr"),
        ("", "*", "en"),
        ("", "", "en"),
        ("../fr", ";;q=x,,\x00", "en"),
    ],
)
def test_the_choice_counts_then_the_browser_then_the_box(cookie, header, language):
    assert chosen(cookie, header, "en") == language


def test_scripts_get_what_they_say_and_no_more():
    messages = read_messages(FOLDER / "catalogue" / "fr")
    module = messages.for_scripts(["Cancel", "never said"]).decode()
    assert module.splitlines() == [
        'export const messages={"Cancel":"Annuler"};',
        "export const form=n=>Number((n > 1));",
    ]
