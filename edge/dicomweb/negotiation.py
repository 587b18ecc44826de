"""What the client takes: Accept, read and weighed (RFC 9110 12.5.1; PS3.18 8.7.5, 8.7.8).

Owns the grammar of Accept as DICOMweb clients really send it (a multipart type with or without
quotes, transfer syntaxes, quality values) and the choice among what a handler can offer. Promises
that what can't be understood is ignored rather than guessed at, and that a refusal says what could
be had. Never looks at a resource: the handler lists its offers, this module weighs them.

Without a transfer syntax in Accept only the default is meant (PS3.18 8.7.3.4): what is offered
beside it is ``named``, and given to whoever names it, or takes any (``*``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from edge.dicomweb.responses import Refused

__all__ = ["MediaRange", "Offer", "accepted_by", "choose", "parse_accept"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 5.6.2  # noqa: S105  (a grammar's token)
_RANGE = re.compile(rf"[\s,]*({_TOKEN}/{_TOKEN})\s*")
# A value without quotes may hold "/": `type=application/octet-stream` is what viewers send.
_PARAMETER = re.compile(rf';\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*)?')
_SKIP = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])*,|.*', re.DOTALL)
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_MAX_RANGES = 64
_LONGEST_HINT = 140


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of an Accept header."""

    essence: str
    """``type/subtype`` in lower case; either may be ``*``."""
    parameters: Mapping[str, str]
    """Without ``q``; names in lower case."""
    quality: float = 1.0
    """0 means not acceptable."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One form in which a resource can be had."""

    media_type: str
    """Of the body, or of each part where ``multipart``."""
    multipart: bool = False
    transfer_syntax: str = ""
    """Empty where it has no meaning (JSON), or is not known yet."""
    named: bool = False
    """Not the default: only for who names this transfer syntax, or says ``*``."""

    @property
    def container(self) -> tuple[str, bool]:
        """What the whole answer is, whatever the transfer syntax of its parts."""
        return self.media_type, self.multipart

    @property
    def content_type(self) -> str:
        """The Content-Type of the body, or of each part (PS3.18 8.7.3.5)."""
        if not self.transfer_syntax:
            return self.media_type
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}"

    def __str__(self) -> str:
        if not self.multipart:
            return self.content_type
        text = f'multipart/related; type="{self.media_type}"'
        return f"{text}; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else text


def parse_accept(text: str) -> list[MediaRange]:
    """Read the value of an Accept header; members that are not well formed are left out.

    Returns:
        The members in the order sent; no more than 64 are read.
    """
    ranges: list[MediaRange] = []
    at = 0
    while at < len(text) and len(ranges) < _MAX_RANGES:
        match = _RANGE.match(text, at)
        if match is None:
            at = _after_comma(text, at)
            continue
        essence, at = match[1].lower(), match.end()
        parameters: dict[str, str] = {}
        while match := _PARAMETER.match(text, at):
            at = match.end()
            name, quoted, plain = match.groups()
            if name is not None:
                value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters.setdefault(name.lower(), value)
        if at < len(text) and text[at] != ",":
            at = _after_comma(text, at)
            continue
        quality = parameters.pop("q", "1")
        if _QUALITY.fullmatch(quality):
            ranges.append(MediaRange(essence, parameters, float(quality)))
    return ranges


def _after_comma(text: str, at: int) -> int:
    """Past the next comma that no quotes enclose; always further than *at*."""
    skipped = _SKIP.match(text, at)
    return max(skipped.end() if skipped else 0, at + 1)


def accepted_by(request: web.Request) -> list[MediaRange]:
    """What the request accepts: its ``accept`` parameter before its header (PS3.18 8.3.3.1)."""
    asked = request.query.get("accept", "")
    ranges = parse_accept(asked) if asked else []
    if not ranges:
        ranges = parse_accept(",".join(request.headers.getall("Accept", [])))
    return ranges or [MediaRange("*/*", {})]


def choose(accepted: Sequence[MediaRange], offers: Sequence[Offer]) -> Offer:
    """The offer that the client likes best; among equals the first.

    An offer counts as much as the most specific range that fits it (RFC 9110 12.5.1).

    Raises:
        Refused: 406, no offer is acceptable.
    """
    best, best_quality = None, 0.0
    for offer in offers:
        quality = _quality_of(offer, accepted)
        if quality > best_quality:
            best, best_quality = offer, quality
    if best is None:
        raise Refused(
            406,
            "no acceptable form of this resource can be given",
            hint=f"it can be had {_what_is_wrong(accepted, offers)}",
        )
    return best


def _what_is_wrong(accepted: Sequence[MediaRange], offers: Sequence[Offer]) -> str:
    """In a line: transfer syntaxes, if they alone are in the way; else media types."""
    anyhow = [
        replace(item, parameters={**item.parameters, "transfer-syntax": "*"})
        for item in accepted
        if item.quality
    ]
    fits = [one for one in offers if one.transfer_syntax and _quality_of(one, anyhow)]
    if fits:
        return f"in the transfer syntax {_some([one.transfer_syntax for one in fits])}"
    return f"as {_some([str(replace(one, transfer_syntax='')) for one in offers])}"


def _some(words: Sequence[str]) -> str:
    """The first of them that fit a line, each once."""
    found = ""
    for word in dict.fromkeys(words):
        more = f"{found}, or {word}" if found else word
        if len(more) > _LONGEST_HINT:
            return f"{found}, and otherwise"
        found = more
    return found


def _quality_of(offer: Offer, accepted: Sequence[MediaRange]) -> float:
    """That of the most specific range that fits; 0 if none does."""
    fits = [(fit, item.quality) for item in accepted if (fit := _fit(item, offer)) >= 0]
    return max(fits)[1] if fits else 0.0


def _fit(item: MediaRange, offer: Offer) -> int:
    """How specifically the range names the offer; -1 if it does not fit."""
    if offer.multipart:
        fit = _fit_type(item.essence, "multipart/related")
        if fit == 2 and (part_type := item.parameters.get("type")):
            part_fit = _fit_type(part_type.lower(), offer.media_type)
            fit = 3 + part_fit if part_fit >= 0 else -1
    else:
        fit = _fit_type(item.essence, offer.media_type)
    if fit < 0:
        return -1
    syntax = item.parameters.get("transfer-syntax", "")
    if syntax in ("", "*") or not offer.transfer_syntax:
        return -1 if offer.named and not syntax else fit * 2
    return fit * 2 + 1 if syntax == offer.transfer_syntax else -1


def _fit_type(wanted: str, offered: str) -> int:
    """2 if the same, 1 if ``type/*`` covers it, 0 if ``*/*`` does, else -1."""
    offered = offered.lower()
    if wanted == offered:
        return 2
    if wanted == "*/*":
        return 0
    return 1 if wanted.endswith("/*") and offered.startswith(wanted[:-1]) else -1
