"""What pages are made of, read from this package once: templates, catalogues, files.

Owns how a template becomes text. Promises that whatever is put into one is escaped, and that a name
which nobody gave is an error rather than a blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from edge.pages.static import Tree, read_tree
from edge.pages.words import LANGUAGES, Messages, Words, read_messages

__all__ = ["FOLDER", "Resources", "resources"]

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Resources:
    """All of them."""

    words: Mapping[str, Words]
    """By the code of the language."""
    tree: Tree
    environment: Environment

    def render(self, template: str, words: Words, values: Mapping[str, Any]) -> str:
        """A template as text, in a language."""
        found = self.environment.get_template(template)
        return found.render(words=words, static=self.tree.url, **values)


@cache
def resources() -> Resources:
    """Read them; blocks, the first time. They are part of the program, and don't change."""
    messages = {
        code: Messages() if code == "en" else read_messages(FOLDER / "catalogue" / code)
        for code in LANGUAGES
    }
    words = {code: Words(code, found) for code, found in messages.items()}
    for one in words.values():  # what the library knows of a language is a file, too
        one.moment(0.0, 1e9)
        one.duration(90.0)
        one.date(0.0)
        one.bytes(1500)
        one.percent(0.5)
    tree = read_tree(FOLDER / "files", messages)
    texts = {
        path.relative_to(FOLDER / "templates").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((FOLDER / "templates").rglob("*.html"))
    }
    environment = Environment(
        loader=DictLoader(texts),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.globals |= {"_": _gettext, "ngettext": _ngettext}
    for name in texts:
        environment.get_template(name)
    return Resources(words, tree, environment)


@pass_context
def _gettext(context: Context, text: str, /, **values: object) -> Markup:
    """A text of the catalogue, which may have markup; its values may not."""
    words: Words = context["words"]
    return Markup(  # noqa: S704 - the catalogue is ours, and values are escaped
        words.gettext(text, **{key: escape(it) for key, it in values.items()})
    )


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int, /, **values: object) -> Markup:
    words: Words = context["words"]
    safe = {key: escape(it) for key, it in values.items()}
    return Markup(words.ngettext(one, many, number, **safe))  # noqa: S704 - as above
