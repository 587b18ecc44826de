"""The result table: a line per check, a column per service, and where they differ."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.conformance.suite import Chapter, Check, Result, Verdict

__all__ = ["as_text", "summary"]

_MARK = {Verdict.PASSED: "ok", Verdict.DIFFERS: "DIFFERS", Verdict.NOT_OFFERED: "-"}
_SENTENCE, _SECTION, _COLUMN = 78, 18, 9

Results = Mapping[str, Result]
"""By the number of the check."""


def as_text(chapters: Sequence[Chapter], columns: Mapping[str, Results]) -> str:
    """The table, and below it what came where a service differs.

    Args:
        chapters: What was checked.
        columns: Name of a service -> its results.
    """
    head = "".join(f" {name:>{_COLUMN}}" for name in columns)
    width = 5 + _SENTENCE + 2 + _SECTION + len(head)
    lines = [f"{'':5}{'':{_SENTENCE}}  {'PS3.18':{_SECTION}}{head}"]
    for chapter in chapters:
        lines += ["", chapter.title, "-" * width]
        for check in chapter.checks:
            lines += _lines(check, [results[check.number] for results in columns.values()])
    for name, results in columns.items():
        lines += ["", *_differences(name, chapters, results)]
    lines += ["", *(summary(name, results) for name, results in columns.items())]
    return "\n".join(line.rstrip() for line in lines)


def _lines(check: Check, results: Sequence[Result]) -> list[str]:
    first, *more = textwrap.wrap(check.sentence, _SENTENCE)
    optional = " (may)" if check.optional else ""
    marks = "".join(f" {_MARK[result.verdict]:>{_COLUMN}}" for result in results)
    section = f"{check.section}{optional}"
    return [
        f"{check.number:<5}{first:{_SENTENCE}}  {section:{_SECTION}}{marks}",
        *(f"{'':5}{line}" for line in more),
    ]


def _differences(name: str, chapters: Sequence[Chapter], results: Results) -> list[str]:
    found = [
        f"  {check.number:<5}{results[check.number].reason}"
        for chapter in chapters
        for check in chapter.checks
        if results[check.number].verdict is Verdict.DIFFERS
    ]
    return [f"{name} differs:", *found] if found else [f"{name} differs nowhere."]


def summary(name: str, results: Results) -> str:
    """One line: how many checks had which verdict."""
    counts = Counter(result.verdict for result in results.values())
    told = ", ".join(f"{counts[verdict]} {verdict.lower()}" for verdict in Verdict)
    return f"{name}: {len(results)} checks: {told}"
