"""Modules are loaded, and what is done meanwhile that nobody needs is left out.

A service is some 1,200 modules, and a small box takes seconds to load them. An eighth of that goes
into looks for garbage, of which there is none: whatever a module makes stays. Half as much goes
into certificates: the web server's library is one for clients, too, and reads all authorities that
the system trusts, twice, before anybody asked for it. Nobody here does; its clients trust nobody.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

__all__ = ["lightly"]

_FILE = "SSL_CERT_FILE"
"""The variable by which OpenSSL is told where the authorities are."""


@contextlib.contextmanager
def lightly() -> Iterator[None]:
    """As long as this lasts; nothing but imports belongs into it."""
    authorities = os.environ.get(_FILE)
    os.environ[_FILE] = os.devnull
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if authorities is None:
            del os.environ[_FILE]
        else:
            os.environ[_FILE] = authorities
