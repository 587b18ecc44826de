"""What every answer tells a browser not to do.

Owns the headers of safety, whoever answers: a policy for answers to programs, one for pages, one
for the viewer, one for documents that came from outside. Promises that no answer goes without,
errors and unreadable requests included, and that none of them allows a script that is written into
a page. An application that serves pages says so once, by `POLICY`; an answer that needs another
policy than its application brings it along. Decides nothing about who may do what.

Patients' data is not to be stored by a browser (``no-store``), images included. What a browser
keeps on its disk outlives whoever logged off, is read by whoever sits there next, and goes with a
laptop that is stolen; the box is a wire away, and viewers hold in memory what they show. Validators
still spare programs what they have. Files of pages, which are everybody's, say otherwise.

Strict-Transport-Security goes with a certificate of the clinic's own alone: nobody is led to a page
over plain HTTP then, which a stranger on the wire could give in our name. With that of the box's
own authority it would do harm. A browser that once had it lets nobody past a certificate that it
does not know; after a new authority (a lost ``data_dir``, another name of the box) every computer
of the clinic would stand before a shut door until a technician came; and it would hold for every
other port of that host, such as a printer server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

__all__ = [
    "API",
    "DECODER",
    "DOCUMENT",
    "PAGE",
    "POLICY",
    "POLICY_HEADER",
    "SANDBOX",
    "VIEWER",
    "Safety",
    "safe_headers",
]

POLICY_HEADER: Final = "Content-Security-Policy"

_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'"
API: Final = f"{_NOTHING}; frame-ancestors 'none'"
"""Of answers to programs: shown as a page all the same, they do nothing, and nowhere but alone."""
PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " font-src 'self'; connect-src 'self'; frame-src 'self'; manifest-src 'self';"
    " worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of our own pages: all that they use is a file of ours."""
VIEWER: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:; object-src 'self' blob:; frame-src blob:; manifest-src 'self';"
    " form-action 'none'; base-uri 'self'; frame-ancestors 'self'"
)
"""Of the viewer: decoders are WebAssembly in workers, it styles its elements itself, and shows a
PDF as an object."""
DECODER: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:"
)
"""Of the viewer's scripts, for those that are workers: some decoders put functions together while
they run. It is no policy of a page, and a worker has none, nor anything but pixels."""
DOCUMENT: Final = f"{_NOTHING}; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""Of a PDF, which a browser's own viewer shows in no sandbox."""
SANDBOX: Final = f"{DOCUMENT}; sandbox"
"""Of every other document, a report as a page among them: whatever is in it, it runs nothing."""

POLICY: Final = web.AppKey("policy", str)
"""The policy of an application and of those below it; `API` unless it is said."""

_ISOLATION: Final = "Cross-Origin-Embedder-Policy"
_ALWAYS: Final = {
    # A preamble can hide another file format: nobody shall guess at one.
    "X-Content-Type-Options": "nosniff",
    # Paths hold UIDs of patients.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Pages of other origins that may read an answer ask for it by CORS, which this does not touch.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(),"
        " microphone=(), midi=(), payment=(), serial=(), usb=(), hid=()"
    ),
    "X-Permitted-Cross-Domain-Policies": "none",
}
_HSTS: Final = "max-age=2592000"
"""A month, and no other host: whoever gives up TLS on this name does not wait longer."""


def safe_headers(policy: str = API) -> dict[str, str]:
    """The headers of an answer under a policy."""
    framed = "frame-ancestors 'self'" in policy
    found = {
        **_ALWAYS,
        POLICY_HEADER: policy,
        # For browsers that know no frame-ancestors.
        "X-Frame-Options": "SAMEORIGIN" if framed else "DENY",
    }
    if "form-action 'self'" in policy:
        # With no referrer at all, a browser hides the origin of a form, too: `origins` asks for it.
        found["Referrer-Policy"] = "same-origin"
    if policy in (VIEWER, DECODER):
        # It wants memory that its workers share, which browsers give to isolated pages alone.
        found[_ISOLATION] = "require-corp"
    return found


_HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    policy: safe_headers(policy) for policy in (API, PAGE, VIEWER, DECODER, DOCUMENT, SANDBOX)
}


class Safety:
    """Puts the headers on every answer.

    Args:
        strict_transport: Whether browsers shall speak nothing but TLS to this name; see above.
    """

    def __init__(self, *, strict_transport: bool = False) -> None:
        self._strict_transport = strict_transport

    async def finish_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """To be called when an answer begins (``on_response_prepare``)."""
        headers = response.headers
        policy = headers.get(POLICY_HEADER) or request.config_dict.get(POLICY, API)
        headers.update(_HEADERS.get(policy) or safe_headers(policy))
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        if self._strict_transport:
            headers[hdrs.STRICT_TRANSPORT_SECURITY] = _HSTS
