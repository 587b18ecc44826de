"""Rules of a clinic: which priors it wants ahead of time, and what shall always be here.

Of priors (``sync.prefetch``), for whom before the colon and what behind it:

    any: 3 within 5 years                            of a patient, whatever is made of him
    CT: 2 within 3 years of CT,MR same body part     when a CT is made, or expected
    MG: all within 10 years of same modality
    US: none

Rules of one modality hold together; ``any`` holds for modalities that no other rule names. Of pins
(``cache.pin``):

    study 1.2.840.113619.2.5
    patient 4711                                     or patient 4711 of CLINIC, its issuer
    modality MG,US within 2 years

What they mean together is ``edge.cache.priors``' and ``edge.index.pins``'. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.week import RuleError

__all__ = ["ANY", "SAME", "PinRule", "PriorRule", "pin_of", "prior_of"]

ANY = "any"
SAME = "same modality"

_WORD = re.compile(r"\S+")
_MODALITY = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_UNITS = {"day": 1, "week": 7, "month": 30.4375, "year": 365.25}
_MOST = 1000
_FOR = 'for whom it is, such as "CT:" or "any:"'
_HOW_MANY = 'how many: a number, "all" or "none"'
_AGE = 'an age such as "3 years", "18 months", "6 weeks" or "10 days"'
_NEXT = '"within 3 years", "of CT,MR", "of same modality" or "same body part"'
_KINDS = '"study UID", "patient ID" or "modality MG within 2 years"'

_Words = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class PriorRule:
    """Which priors a study of a modality wants."""

    modality: str = ANY
    """Of the study that was made, or is expected."""
    count: int | None = None
    """The newest so many; None is all, 0 none."""
    max_age_days: float | None = None
    """Before the study; None is any."""
    modalities: frozenset[str] = frozenset()
    """Of the priors; empty is any, ``SAME`` that of the study."""
    same_body_part: bool = False


@dataclass(frozen=True, slots=True)
class PinRule:
    """What shall be here. One of study, patient and modalities is said."""

    study_uid: str = ""
    patient_id: str = ""
    issuer: str = ""
    modalities: frozenset[str] = frozenset()
    max_age_days: float | None = None


def prior_of(text: str) -> tuple[PriorRule, ...]:
    """Understand a rule of priors: one for each modality that stands before its colon.

    Raises:
        RuleError: It is none; says where.
    """
    head, colon, tail = text.partition(":")
    if not colon:
        raise RuleError(f"{_FOR}, is missing", 1)
    whom = _words(head, 1)
    if not whom:
        raise RuleError(f"{_FOR}, is missing", 1)
    names, after = _modalities(whom, allow_any=True)
    if after:
        raise RuleError(f'"{after[0][0]}" is too much before the colon', after[0][1])
    rule = _priors(_words(tail, len(head) + 2), len(text) + 1)
    return tuple(
        PriorRule(name, rule.count, rule.max_age_days, rule.modalities, rule.same_body_part)
        for name in names
    )


def _priors(words: _Words, end: int) -> PriorRule:
    """What stands behind the colon, for no modality yet."""
    if not words:
        raise RuleError(f"{_HOW_MANY}, is missing", end)
    (word, at), *words = words
    count = _count(word, at)
    age: float | None = None
    of: frozenset[str] = frozenset()
    same_body_part = False
    said: set[str] = set()
    while words:
        (word, at), *words = words
        word = word.lower()
        if word in said:
            raise RuleError(f'"{word}" stands there twice', at)
        said.add(word)
        if count == 0:
            raise RuleError('"none" stands alone', at)
        if word == "within":
            age, words = _age(words, end)
        elif word == "of":
            of, words = _of(words, end)
        elif word == "same":
            words = _expect(words, ("body", "part"), end)
            same_body_part = True
        else:
            raise RuleError(f'"{word}" is not {_NEXT}', at)
    return PriorRule(ANY, count, age, of, same_body_part)


def pin_of(text: str) -> PinRule:
    """Understand a rule of what shall always be here.

    Raises:
        RuleError: It is none; says where.
    """
    words = _words(text, 1)
    if not words:
        raise RuleError(f"{_KINDS}, is missing", 1)
    (kind, at), *words = words
    end = len(text) + 1
    match kind.lower():
        case "study":
            if not words:
                raise RuleError("a Study Instance UID is missing", end)
            (uid, at), *words = words
            if not _UID.fullmatch(uid) or len(uid) > 64:
                raise RuleError(f'"{uid}" is no Study Instance UID', at)
            rule = PinRule(study_uid=uid)
        case "patient":
            # A Patient ID may have blanks: "of" and what follows are its issuer.
            value = text[at - 1 + len("patient") :].strip()
            patient_id, _, issuer = value.partition(" of ")
            if not patient_id.strip():
                raise RuleError("a Patient ID is missing", end)
            return PinRule(patient_id=patient_id.strip(), issuer=issuer.strip())
        case "modality":
            if not words:
                raise RuleError("a modality is missing", end)
            names, words = _modalities(words, allow_any=False)
            age: float | None = None
            if words and words[0][0].lower() == "within":
                age, words = _age(words[1:], end)
            rule = PinRule(modalities=frozenset(names), max_age_days=age)
        case _:
            raise RuleError(f'"{kind}" is not {_KINDS}', at)
    if words:
        raise RuleError(f'"{words[0][0]}" is too much', words[0][1])
    return rule


def _words(text: str, first: int) -> _Words:
    """The words and where they begin; "CT, MR" is one word."""
    found: _Words = []
    for match in _WORD.finditer(text):
        word, at = match[0], match.start() + first
        if found and (found[-1][0].endswith(",") or word.startswith(",")):
            before, at = found.pop()
            word = before + word
        found.append((word, at))
    return found


def _count(word: str, at: int) -> int | None:
    if word.lower() in ("all", "none"):
        return None if word.lower() == "all" else 0
    if not word.isdecimal():
        raise RuleError(f'"{word}" is not {_HOW_MANY}', at)
    if not 1 <= int(word) <= _MOST:
        raise RuleError(f'it must be 1 to {_MOST}, "all" or "none"', at)
    return int(word)


def _age(words: _Words, end: int) -> tuple[float, _Words]:
    if not words:
        raise RuleError(f"{_AGE}, is missing", end)
    (number, at), *rest = words
    if not number.isdecimal() or not 1 <= int(number) <= _MOST:
        raise RuleError(f'"{number}" is not {_AGE}', at)
    if not rest:
        raise RuleError(f'"{number}" needs a unit: days, weeks, months or years', end)
    (unit, at), *rest = rest
    days = _UNITS.get(unit.lower().removesuffix("s"))
    if days is None:
        raise RuleError(f'"{unit}" is not days, weeks, months or years', at)
    return int(number) * days, rest


def _of(words: _Words, end: int) -> tuple[frozenset[str], _Words]:
    if not words:
        raise RuleError('modalities, or "same modality", are missing', end)
    if words[0][0].lower() == "same":
        return frozenset((SAME,)), _expect(words[1:], ("modality",), end)
    names, rest = _modalities(words, allow_any=False)
    return frozenset(names), rest


def _expect(words: _Words, expected: tuple[str, ...], end: int) -> _Words:
    for word in expected:
        if not words or words[0][0].lower() != word:
            raise RuleError(f'"{word}" is missing', words[0][1] if words else end)
        words = words[1:]
    return words


def _modalities(words: _Words, *, allow_any: bool) -> tuple[list[str], _Words]:
    (word, at), *rest = words
    if allow_any and word.lower() == ANY:
        return [ANY], rest
    names = []
    for part in word.upper().split(","):
        if not _MODALITY.fullmatch(part):
            raise RuleError(f'"{part}" is no modality such as CT', at)
        names.append(part)
        at += len(part) + 1
    return names, rest
