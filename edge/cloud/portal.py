"""Who answers in the archive's place: captive portals, login pages, firewalls.

Owns the telling of such an answer from an archive's. Promises to name where a redirect leads, but
never its path or query, which may tell more than a log should know. Does no I/O.
"""

from __future__ import annotations

import httpx

from edge.errors import CloudIntercepted

__all__ = ["intercepted"]

_NETWORK_AUTHENTICATION_REQUIRED = 511  # RFC 6585 6
_LET_THROUGH = (
    "log in to this network, or have the box let through; if it has no such portal, check the url"
)
_OR_PORTAL = "or a captive portal or firewall answers in the archive's place"


def intercepted(
    archive: str, response: httpx.Response, doing: str, body: bytes = b""
) -> CloudIntercepted | None:
    """What a redirect means, and a web page where DICOM is due; None for any other answer.

    Over https only who has a certificate that we trust can answer so: the archive's own gateway, or
    a firewall of the clinic. Over http anybody on the way can, and captive portals do.
    """
    if response.status_code == _NETWORK_AUTHENTICATION_REQUIRED:
        what, hint = "a captive portal wants a login", _LET_THROUGH
    elif response.is_redirect:
        what, hint = _redirect(response)
    elif response.is_success and _is_page(response, body):
        what, hint = "a web page where DICOM is due: a captive portal, it seems", _LET_THROUGH
        if _url_of(response).scheme == "https":
            what = "a web page where DICOM is due"
            hint = f"check the url: it may be that of a viewer or a login page; {_OR_PORTAL}"
    else:
        return None
    return CloudIntercepted(
        f"archive {archive}: {doing}: answered {response.status_code}, {what}", hint=hint
    )


def _redirect(response: httpx.Response) -> tuple[str, str]:
    asked, to = _url_of(response), _target(response)
    what = f"a redirect to {_origin(to)}" if to.host else "a redirect"
    if to.host == asked.host and to.scheme == "https" != asked.scheme:
        return what, f"let the url begin with {_origin(to)}; {_OR_PORTAL}"
    if to.host == asked.host:
        return what, f"check the url, and auth: it leads to another place there; {_OR_PORTAL}"
    if asked.scheme == "https":
        hint = f"check auth and url: the archive asks for another kind of login; {_OR_PORTAL}"
        return f"{what}, a login page, it seems", hint
    return f"{what}: a captive portal, it seems", _LET_THROUGH


def _url_of(response: httpx.Response) -> httpx.URL:
    try:
        return response.url
    except RuntimeError:  # It answers no request of ours.
        return httpx.URL()


def _target(response: httpx.Response) -> httpx.URL:
    try:
        return _url_of(response).join(response.headers.get("Location", ""))
    except httpx.InvalidURL:
        return httpx.URL()


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _is_page(response: httpx.Response, body: bytes) -> bool:
    kind = response.headers.get("Content-Type", "").lower()
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return kind.startswith(("text/html", "application/xhtml")) or start.startswith(
        (b"<!doctype html", b"<html")
    )
