"""What time it is, from the archives' answers, where the machine does not know and no server tells.

Promises that nobody is believed who can't prove to be the archive: its certificate must be for it
and of an authority that is trusted. Only the dates, of it and of the authorities that lead to it,
can't be held against our clock, for that is what is missing; so they are held against the time that
it says. An archive without TLS is not
asked, and no credentials are sent. Sets nothing: `edge.machine.clock` does, and has limits of its
own.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from edge.cloud.knock import Knock
from edge.cloud.route import Route
from edge.errors import CloudUnreachable, ConfigError
from edge.machine.clock import since_start
from edge.others import Archive

__all__ = ["Heard", "time_from"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 15.0
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the module ssl has no name for."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an archive said."""

    archive: str
    utc: float
    """POSIX seconds."""
    measured: float
    """When that was heard, by `since_start`."""


async def time_from(
    archives: Sequence[Archive],
    *,
    elapsed: Callable[[], float] = since_start,
    patience: float = _PATIENCE,
) -> Heard:
    """The time, from the first archive that has a right to tell it.

    Raises:
        CloudUnreachable: None does; the message has what was wrong with each.
    """
    wrong = []
    for archive in archives:
        try:
            return await _ask(archive, elapsed, patience)
        except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError, ConfigError) as error:
            wrong.append(f"{archive.name}: {str(error) or type(error).__name__}")
    raise CloudUnreachable(
        f"no archive tells the time: {'; '.join(wrong) or 'there is none'}",
        hint="name a time server in the network settings, or set the clock",
    )


async def _ask(archive: Archive, elapsed: Callable[[], float], patience: float) -> Heard:
    route = Route.of(archive, httpx.URL(archive.url))
    if not route.encrypted:
        raise ValueError("it speaks no TLS, so that anybody could answer for it")
    context = route.context()
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    async with Knock(route, patience=patience) as knock:
        await knock.connect(await knock.resolve())
        if route.proxy is not None:
            await knock.tunnel()
        await knock.secure(context)
        certificate, *authorities = knock.chain()
        said = (await knock.head()).date
        heard = elapsed()
    if said is None:
        raise ValueError("its answer has no date")
    if not certificate.is_valid_at(said):
        raise ValueError("its certificate is not valid at the time that it says")
    for authority in authorities:
        if not authority.is_valid_at(said):
            raise ValueError(f"its authority {authority.who} is not valid at the time that it says")
    return Heard(archive.name, said, heard)
