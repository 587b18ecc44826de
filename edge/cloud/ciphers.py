"""With what we encrypt where we call others, archives and whom the audit is forwarded to."""

from __future__ import annotations

from typing import Final

__all__ = ["CIPHERS"]

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:!aDSS:!SHA1:!AESCCM"
"""With whom we call: forward secrecy, whatever a distribution's OpenSSL leaves to servers. The last
kind, CBC with SHA-2, is what archives on old Windows have."""
