"""Whose clock is wrong: this box's, or is it the certificate that has ended?

Owns the comparison of our time with the Date that an archive's answer carries. A time that
comes from somebody whose certificate is not valid is good for words only: nothing is set by it. No
I/O.
"""

from __future__ import annotations

import datetime as dt

from edge.cloud.certificate import day
from edge.cloud.knock import Look
from edge.cloud.words import NOT_EARLIER, SET_CLOCK

__all__ = ["FAR_OFF", "moment", "offset_words", "words_of_look"]

FAR_OFF = 60.0
"""Seconds between two clocks that are called different."""


def moment(posix: float) -> str:
    """A moment, as it is in Greenwich."""
    return dt.datetime.fromtimestamp(posix, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def offset_words(ours: float, theirs: float) -> str:
    """How far our clock is from theirs."""
    seconds = abs(ours - theirs)
    for size, one, many in (
        (86400, "day", "days"),
        (3600, "hour", "hours"),
        (60, "minute", "minutes"),
    ):
        if seconds >= size:
            count = int(seconds // size)
            amount = f"{count} {one if count == 1 else many}"
            break
    else:
        amount = f"{seconds:.0f} s"
    return f"{amount} {'ahead of' if ours > theirs else 'behind'} the archive's"


def words_of_look(look: Look, where: str, now: float) -> tuple[str, str] | None:
    """What is wrong if a certificate is not valid at this time, and what to do; None if unknown."""
    certificate, date = look.certificate, look.date
    if certificate is None or certificate.is_valid_at(now):
        return None
    untimely = "it is not valid at this time"
    if now < min(NOT_EARLIER, certificate.not_before):
        what = f"when the certificate of {where} is not valid yet"
        return f"this box's clock is wrong: it says {moment(now)}, {what}", SET_CLOCK
    if date is not None and abs(date - now) > FAR_OFF and certificate.is_valid_at(date):
        clock = f"this box's clock is wrong: it says {moment(now)}, {offset_words(now, date)}"
        return f"{clock}; so the certificate of {where} counts for nothing: {untimely}", SET_CLOCK
    agreed = date is not None and abs(date - now) <= FAR_OFF
    check = "" if agreed else "check this box's clock first, then "
    issued = f"the certificate of {where}, issued by {certificate.issuer},"
    if now > certificate.not_after:
        days = -certificate.days_left(now)
        ago = f"{days} {'day' if days == 1 else 'days'} ago"
        what = f"{issued} expired on {certificate.end}, {ago}: {untimely}"
        return what, f"{check}have the archive's keeper renew it"
    what = f"{issued} is valid from {day(certificate.not_before)} only: {untimely}"
    return what, f"{check}have the archive's keeper look at its certificate"
