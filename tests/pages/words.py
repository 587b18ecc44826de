"""The texts of the web page, found in its code, and the catalogues brought up to them.

A text is in the catalogue of its page (``now.po``), or in ``shared.po`` if what many pages have
says it: then no page's own has it, too. See ``scripts/words``.
"""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from edge.pages.resources import FOLDER
from edge.pages.table import PAGES
from edge.pages.words import LANGUAGES

SHARED = "shared"
KEYWORDS = {"_": None, "gettext": None, "noted": None, "ngettext": (1, 2)}
TRANSLATIONS = [code for code in LANGUAGES if code != "en"]
PLURALS = {
    "fr": (2, "(n > 1)"),
    "es": (2, "(n != 1)"),
    "ar": (
        6,
        (
            "(n == 0 ? 0 : n == 1 ? 1 : n == 2 ? 2 : n % 100 >= 3 && n % 100 <= 10 ? 3"
            " : n % 100 >= 11 ? 4 : 5)"
        ),
    ),
}
"""As gettext has them; nobody counts millions of anything here."""
OF_NOW = {"alarms", "alarms_of_box", "state"}
"""Modules whose words are on the first page, though its header is on all."""
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
VIEWER = "viewer"
"""Pages of another door, whose templates are here."""
NEEDLESS = tuple(
    f'"{name}'
    for name in (
        "Project-Id",
        "Report-Msgid",
        "POT-",
        "PO-",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)
"""Of a header: no other catalogue of the world is meant."""

Text = str | tuple[str, str]


def sources() -> Iterator[tuple[Path, object, dict[str, object]]]:
    """Files that say something, and how each is read."""
    for path in sorted(FOLDER.glob("*.py")):
        yield path, "python", {}
    for path in sorted((FOLDER / "templates").rglob("*.html")):
        yield path, babel_extract, {"trimmed": "false", "silent": "false"}
    for path in sorted((FOLDER / "files" / "js").glob("*.js")):
        yield path, "javascript", {"template_string": "False"}


def texts_of(path: Path, method: object, options: dict[str, object]) -> set[Text]:
    """What a file says."""
    with path.open("rb") as file:
        found = extract(method, file, keywords=KEYWORDS, options=options)
        return {message if isinstance(message, str) else tuple(message) for _, message, *_ in found}


def domain_of(path: Path) -> str:
    """The catalogue of a file: ``sync-history.js`` and ``sync_limits.py`` are of ``sync``."""
    if path.stem in OF_NOW:
        return "now"
    if path.parent.name == VIEWER:
        return VIEWER
    name = re.split("[-_]", path.stem)[0]
    return name if name in {page.name for page in PAGES} else SHARED


def wanted() -> Mapping[str, set[Text]]:
    """What each catalogue has to have."""
    found: dict[str, set[Text]] = defaultdict(set)
    for path, method, options in sources():
        found[domain_of(path)] |= texts_of(path, method, options)
    for page in PAGES:  # every page's navigation has them
        found[SHARED].add(page.title)
    for domain in found:
        if domain != SHARED:
            found[domain] -= found[SHARED]
    return {domain: texts for domain, texts in found.items() if texts}


def known(language: str, domain: str) -> Catalog | None:
    """A catalogue as it is."""
    path = FOLDER / "catalogue" / language / f"{domain}.po"
    if not path.exists():
        return None
    with path.open("rb") as file:
        return read_po(file, locale=language)


def renew(language: str, domain: str, texts: set[Text], before: Mapping[Text, object]) -> None:
    """Write a catalogue anew."""
    catalogue = Catalog(
        locale=language,
        project="edge",
        copyright_holder="",
        creation_date=SOME_DAY,
        revision_date=SOME_DAY,
        fuzzy=False,
    )
    catalogue.header_comment = ""
    catalogue._num_plurals, catalogue._plural_expr = PLURALS[language]
    for text in texts:
        catalogue.add(text, before.get(text))  # type: ignore[arg-type]
    path = FOLDER / "catalogue" / language / f"{domain}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    write_po(out, catalogue, width=100, sort_output=True, no_location=True)
    lines = out.getvalue().decode().lstrip("\n").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(NEEDLESS)))


def everything(language: str) -> dict[Text, object]:
    """All that is translated into a language, wherever it stands."""
    found: dict[Text, object] = {}
    for path in sorted((FOLDER / "catalogue" / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                if message.id and _is_whole(message.string):
                    text = message.id if isinstance(message.id, str) else tuple(message.id)
                    found.setdefault(text, message.string)
    return found


def _is_whole(string: object) -> bool:
    return all(string) if isinstance(string, tuple | list) else bool(string)


def missing() -> list[tuple[str, str, Text]]:
    """Language, catalogue and text of what has no translation."""
    found = []
    for language in TRANSLATIONS:
        for domain, texts in wanted().items():
            catalogue = known(language, domain)
            have = (
                set()
                if catalogue is None
                else {
                    message.id if isinstance(message.id, str) else tuple(message.id)
                    for message in catalogue
                    if message.id and _is_whole(message.string)
                }
            )
            found += [(language, domain, text) for text in sorted(texts - have, key=str)]
    return found


def main() -> int:
    if "--check" not in sys.argv[1:]:
        for language in TRANSLATIONS:
            before = everything(language)
            domains = wanted()
            for path in (FOLDER / "catalogue" / language).glob("*.po"):
                if path.stem not in domains:
                    path.unlink()
            for domain, texts in domains.items():
                renew(language, domain, texts, before)
    lacking = missing()
    for language, domain, text in lacking:
        print(f"{language}/{domain}.po: {text!r} has no translation")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
