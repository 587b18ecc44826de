"""A Structured Report as plain text (PS3.18 8.7.4: text/plain).

Owns the layout of the text. Promises that everything which the page (``report_html``) shows stands
here, too, in the same order and words: it is made from that page.
"""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, Final

from edge.dicom.report_html import report_html

__all__ = ["report_text"]

_LINES: Final = frozenset({"h1", "h2", "dt", "p", "li", "section"})
"""Each begins a line."""
_UNSEEN: Final = frozenset({"style", "title"})


def report_text(attributes: Mapping[str, Any]) -> str:
    """The text, its lines ended by line feeds.

    Args:
        attributes: The whole instance, DICOM JSON.
    """
    reader = _Reader()
    reader.feed(report_html(attributes))
    reader.close()
    lines = (line.rstrip() for line in "".join(reader.text).split("\n"))
    return "\n".join(line for line in lines if line.strip()) + "\n"


class _Reader(HTMLParser):
    """Takes the markup away; lists are indented."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._depth = 0
        self._unseen = 0

    def handle_starttag(
        self,
        tag: str,
        attrs: list[tuple[str, str | None]],  # noqa: ARG002 - the parser's signature
    ) -> None:
        """Begin a line, or a list."""
        self._depth += tag == "ul"
        self._unseen += tag in _UNSEEN
        if tag in _LINES:
            self.text.append("\n" + "  " * (self._depth - 1))
        elif tag == "dd":
            self.text.append(": ")

    def handle_endtag(self, tag: str) -> None:
        """End a list."""
        self._depth -= tag == "ul"
        self._unseen -= tag in _UNSEEN
        if tag in _LINES and tag != "dt":
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        """What is to be read."""
        if not self._unseen:
            self.text.append(data.strip("\n") if not data.strip() else data)
