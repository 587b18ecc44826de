"""Resources: which one a request is for, and how its URL is written (PS3.18 7.2, 10.1).

Owns the way from a path to UIDs and back. Promises that nothing which is not a UID passes, and
that URLs name the service as the client reached it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from edge.dicom.uids import is_uid
from edge.dicomweb.responses import Refused

__all__ = ["Target", "base_url", "origin_of", "target_of"]

_HOST = re.compile(r"[A-Za-z0-9.\-_:\[\]]{1,255}")
_PORT = re.compile(r":[0-9]+$")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A study, a series or an instance; or none of them, for everything."""

    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None

    @property
    def uids(self) -> tuple[str, str | None, str | None]:
        """Study, series and instance; of a resource that is a study, or below one."""
        if self.study_uid is None:
            raise ValueError("the resource names no study")
        return self.study_uid, self.series_uid, self.sop_uid

    def url(self, base: str) -> str:
        """Where it can be retrieved (PS3.18 10.4.1.1); *base* as ``base_url`` gives it."""
        url = base
        for name, uid in (
            ("studies", self.study_uid),
            ("series", self.series_uid),
            ("instances", self.sop_uid),
        ):
            if uid is not None:
                url += f"/{name}/{uid}"
        return url

    def __str__(self) -> str:
        """As errors name it."""
        kinds = (("instance", self.sop_uid), ("series", self.series_uid), ("study", self.study_uid))
        return next((f"{kind} {uid}" for kind, uid in kinds if uid is not None), "all studies")


def target_of(request: web.Request) -> Target:
    """The UIDs in the path.

    Raises:
        Refused: 400, one of them is not a UID.
    """
    return Target(_uid(request, "study"), _uid(request, "series"), _uid(request, "instance"))


def _uid(request: web.Request, name: str) -> str | None:
    text = request.match_info.get(name)
    if text is not None and not is_uid(text):
        raise Refused(400, f"the {name} in the path is not a UID (PS3.5 9.1)")
    return text


def base_url(request: web.Request) -> str:
    """The base URI of the service as this client knows it, without a slash at the end.

    Raises:
        Refused: 400, the Host header is none.
    """
    studies = request.app.router["studies"]
    return origin_of(request) + studies.canonical.removesuffix("/studies")


def origin_of(request: web.Request) -> str:
    """Scheme, host and port as this client knows them.

    Raises:
        Refused: 400, the Host header is none.
    """
    host = request.host
    if not _HOST.fullmatch(host):
        raise Refused(400, "the Host header is not a host name")
    if not _PORT.search(host):
        host += _own_port(request)
    return f"{request.scheme}://{host}"


def _own_port(request: web.Request) -> str:
    """The port that we were reached at, for a client that does not say it though it must.

    RFC 9110 7.2 wants it in Host unless it is the scheme's own; a client in wide use leaves it out,
    and would look for bulk values elsewhere.
    """
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if not isinstance(name, tuple) or name[1] == _DEFAULT_PORTS.get(request.scheme):
        return ""
    return f":{name[1]}"
