"""Numbers, rules and folders that are right by themselves, and make no sense, or none together."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from zoneinfo import available_timezones

from edge.checking.whole import Whole
from edge.config import GIB
from edge.rules import pin_of, prior_of
from edge.week import RuleError, hours_of, rule_of

__all__ = [
    "check_folders",
    "check_line",
    "check_name",
    "check_numbers",
    "check_rules",
    "check_time_zone",
]

_MOST_RULES = {
    "sync.calendar": 100,
    "sync.prefetch_hours": 100,
    "sync.prefetch": 200,
    "cache.pin": 1000,
    "update.hours": 100,
}
"""Beyond any use, and each is looked at over and over."""
_FEWER = {
    "sync.calendar": "one rule may name several days",
    "sync.prefetch_hours": "one rule may name several days",
    "sync.prefetch": "one rule may name several modalities",
    "update.hours": "one rule may name several days",
    "cache.pin": "pin single studies and patients with edge pin, which has no limit",
}


_LONGEST_NAME = 100
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control characters, what turns the direction of a line or ends it (Unicode, General_Category)."""
_JOINERS = "\u200c\u200d"
"""Some scripts need them within a word."""
_REGIONS = frozenset(
    "Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific".split()
)
"""In which time zones are called by a city; the other names are former ones."""
_MOST_NEAR = 3
_LIKE = 0.75
"""Of 1: a letter or two are wrong."""
_LEAST = (
    ("access", "idle_minutes", 1, "with less, nobody stays logged in"),
    ("access", "session_hours", 0.25, "with less, nobody stays logged in"),
    ("dimse", "artim_seconds", 1, "with less, no device gets in over a slow network"),
    ("dimse", "idle_seconds", 5, "with less, associations end between two images"),
    ("dimse", "pdu_seconds", 1, "with less, associations end in the middle of an image"),
    ("pixels", "seconds", 0.1, "with less, no picture is ever done"),
    ("sync", "sweep_minutes", 0.1, "with less, the box does nothing else"),
    ("sync", "feed_seconds", 0.1, "with less, the box does nothing else"),
    ("sync", "retry_min_seconds", 0.1, "with less, the box does nothing else"),
    ("sync", "retry_max_seconds", 0.1, "with less, the box does nothing else"),
)
"""What a slip of a finger could have, and what would come of it."""


def check_numbers(whole: Whole) -> None:
    """These are waited for, or divided among some: nothing of them would be no service."""
    for section, names in {
        "dimse": ("max_associations", "commit_days", "commit_report_days"),
        "sync": ("batch_bytes", "uploads_in_flight", "trash_days"),
        "cache": ("max_instance_bytes",),
        "pixels": ("frame_bytes",),
        "audit": ("keep_days", "max_bytes"),
    }.items():
        for name in names:
            if getattr(getattr(whole.config, section), name) == 0:
                raise whole.error((section, name), "must be more than 0")
    for section, name, least, hint in _LEAST:
        if getattr(getattr(whole.config, section), name) < least:
            raise whole.error((section, name), f"must be {least:g} at the least", hint)
    if 0 < whole.config.cache.max_bytes < GIB:
        raise whole.error(
            ("cache", "max_bytes"),
            f"must be {GIB} at the least, or 0",
            "it is in bytes; 0 is as much as the disk has",
        )
    for section, name, most in (
        ("access", "idle_minutes", 24 * 60),
        ("access", "session_hours", 7 * 24),
        ("access", "link_days", 366),
        ("pixels", "workers", 64),
        ("sync", "uploads_in_flight", 64),
        ("dimse", "commit_grace_seconds", 3600),
        ("dimse", "commit_days", 365),
        ("dimse", "commit_report_days", 365),
        ("keys", "grace_hours", 24 * 31),
    ):
        if getattr(getattr(whole.config, section), name) > most:
            raise whole.error((section, name), f"must be {most} at the most")
    if not 1 <= whole.config.access.emergency.minutes <= 720:
        raise whole.error(("access", "emergency", "minutes"), "must be 1 to 720")
    sync = whole.config.sync
    if sync.retry_min_seconds > sync.retry_max_seconds:
        raise whole.error(("sync", "retry_min_seconds"), "must not be above retry_max_seconds")
    if not 4096 <= whole.config.dimse.max_pdu <= 1024 * 1024:
        raise whole.error(("dimse", "max_pdu"), "must be 4096 to 1048576")


def check_name(whole: Whole) -> None:
    """What people call the box: one line, on screens, on paper and in what goes to a log server."""
    name = whole.config.appliance.name
    if len(name) > _LONGEST_NAME:
        raise whole.error(
            ("appliance", "name"), f"has more than {_LONGEST_NAME} characters", "name it shorter"
        )
    for number, letter in enumerate(name, 1):
        if unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS:
            raise whole.error(
                ("appliance", "name"),
                f"has U+{ord(letter):04X} as its character {number}, which nobody can see",
                "type the name anew, on one line",
            )


def check_time_zone(whole: Whole) -> None:
    """A name that the time zone database has."""
    zone = whole.config.appliance.time_zone
    if zone and zone not in (known := available_timezones()):
        near = _near(zone, known)
        such = " or ".join(f'"{one}"' for one in near or ("Europe/Dublin",))
        error = whole.error(
            ("appliance", "time_zone"), f'= "{zone}" is not known', f"such as {such}"
        )
        error.near = near
        raise error


def _near(zone: str, known: Collection[str]) -> tuple[str, ...]:
    """Names that somebody may have meant who typed another: a city, or almost the whole."""
    typed = re.sub(r"\s+", "_", zone.strip().casefold()).rpartition("/")[2]
    regional = sorted(one for one in known if one.partition("/")[0] in _REGIONS)
    places = {one: one.casefold().rpartition("/")[2] for one in regional}
    found = [one for one, place in places.items() if place == typed]
    if not found:
        like = difflib.get_close_matches(typed, sorted(set(places.values())), _MOST_NEAR, _LIKE)
        found = [one for place in like for one in regional if places[one] == place]
    return tuple(found[:_MOST_NEAR])


def check_folders(whole: Whole) -> None:
    """The data folder, and the one that is emptied, which may not lie in each other."""
    data, drop = whole.config.appliance.data_dir, whole.config.dropfolder.path
    if data == Path():
        raise whole.error(("appliance", "data_dir"), "must name a folder")
    if drop != Path():
        drop, data = drop.resolve(), data.resolve()
        if drop.is_relative_to(data) or data.is_relative_to(drop):
            raise whole.error(
                ("dropfolder", "path"),
                f"= {drop} and appliance.data_dir = {data} overlap",
                "what is dropped is taken away: name a folder of its own",
            )


def check_rules(whole: Whole) -> None:
    """Rules that are understood, and not beyond any use."""
    sync = whole.config.sync
    languages: tuple[tuple[str, Sequence[str], Callable[[str], object], str], ...] = (
        ("sync.calendar", sync.calendar, rule_of, "mon-fri 08:00-18:00 2000 kbps"),
        ("sync.prefetch", sync.prefetch, prior_of, "CT: 2 within 3 years of CT,MR"),
        ("sync.prefetch_hours", sync.prefetch_hours, hours_of, "mon-fri 19:00-06:00"),
        ("cache.pin", whole.config.cache.pin, pin_of, "modality MG within 2 years"),
        ("update.hours", whole.config.update.hours, hours_of, "mon-fri 01:00-05:00"),
    )
    for key, rules, understand, example in languages:
        most = _MOST_RULES[key]
        if len(rules) > most:
            raise whole.error(
                key.split("."), f"has {len(rules)} rules; {most} are the most", _FEWER[key]
            )
        for number, rule in enumerate(rules):
            try:
                understand(rule)
            except RuleError as error:
                raise whole.error(
                    (*key.split("."), str(number)),
                    f'= "{rule}": {error}',
                    f'for example "{example}"',
                ) from error


def check_line(whole: Whole) -> None:
    """The day on which the month begins."""
    sync = whole.config.sync
    if not 1 <= sync.budget_day <= 31:
        raise whole.error(("sync", "budget_day"), "must be 1 to 31")
