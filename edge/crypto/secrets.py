"""The secrets of a configuration, such as the archive's password, sealed for this box or in a file.

Where a secret is expected there may stand ``sealed:…`` (made here, worthless without the root
secret of this box), ``file:/PATH`` (its content, without the last line end), or the secret itself.
What is a secret is said by the dataclass: text that shows in no repr.

    "sealed:" + base64url(version, nonce, AES-256-GCM(secret))

Promises that no secret, and nothing of a file, stands in a message. Calls read files: use them from
worker threads.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.errors import ConfigError, SecretUnopened

__all__ = ["PURPOSE", "open_secrets", "seal_secret", "unopened"]

PURPOSE = "configuration"
"""What the key is derived for, see ``KeyRing.derive``."""

_T = TypeVar("_T")
_SEALED, _FILE = "sealed:", "file:"
_VERSION = b"\x01"
_NONCE, _TAG = 12, 16
_BASE64URL = re.compile(r"[\w-]*", re.ASCII)
_MAX_FILE = 64 * 1024
_GIVE_AGAIN = (
    "type it again among the settings of the page; where a file of the machine says it, put it"
    " there sealed on this box: edge secret seal"
)


def seal_secret(secret: str, key: bytes) -> str:
    """The sealed form of a secret; another each time."""
    nonce = os.urandom(_NONCE)
    box = AESGCM(key).encrypt(nonce, secret.encode(), _bound(_VERSION))
    return _SEALED + base64.urlsafe_b64encode(_VERSION + nonce + box).decode().rstrip("=")


def open_secrets(settings: _T, key: bytes, where: str) -> _T:
    """The same settings with every secret in them as it is used.

    Args:
        settings: A dataclass, perhaps with others in it.
        key: Of this box.
        where: The name of it in the configuration.

    Raises:
        SecretUnopened: One that is sealed can't be opened; the message names it.
        ConfigError: One can't be had in another way: somebody named a file that is of no use.
    """
    opened: _T = _opened(settings, key, where)
    return opened


def unopened(settings: Any, key: bytes, where: str) -> tuple[SecretUnopened, ...]:
    """What is wrong with each sealed secret that can't be opened, its ``key`` named.

    Args:
        settings: As `open_secrets` has them, and the next two.
        key: Of this box.
        where: The name of it in the configuration.
    """
    return tuple(_unopened(settings, key, where))


def _unopened(value: Any, key: bytes, where: str) -> Iterator[SecretUnopened]:
    if isinstance(value, tuple):
        for n, item in enumerate(value):
            yield from _unopened(item, key, f"{where}.{n}")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            inner, name = getattr(value, item.name), f"{where}.{item.name}"
            if not isinstance(inner, str):
                yield from _unopened(inner, key, name)
            elif not item.repr:
                try:
                    _secret(inner, key, name)
                except SecretUnopened as error:
                    yield error
                except ConfigError:  # a file: who opens it says so
                    continue


def _opened(value: Any, key: bytes, where: str) -> Any:
    if isinstance(value, tuple):
        return tuple(_opened(item, key, f"{where}.{n}") for n, item in enumerate(value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    new = {}
    for item in dataclasses.fields(value):
        inner, name = getattr(value, item.name), f"{where}.{item.name}"
        if isinstance(inner, str):
            new[item.name] = inner if item.repr else _secret(inner, key, name)
        else:
            new[item.name] = _opened(inner, key, name)
    return dataclasses.replace(value, **new)


def _secret(text: str, key: bytes, where: str) -> str:
    if text.startswith(_FILE):
        text = _content(Path(text.removeprefix(_FILE)), where)
    return _unsealed(text.removeprefix(_SEALED), key, where) if text.startswith(_SEALED) else text


def _content(path: Path, where: str) -> str:
    if not path.is_absolute():
        raise ConfigError(f"{where} names no absolute path", hint="for example file:/run/secret")
    try:
        if stat.S_ISFIFO(path.stat().st_mode):  # It would be waited for, without end.
            raise ConfigError(f"{where}: {path} is no ordinary file")
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(
            f"{where}: the file {path} can't be read: {error.strerror}",
            hint="the user that the service runs as must be able to read it",
        ) from error
    if len(content) > _MAX_FILE:
        raise ConfigError(f"{where}: the file {path} is too long for a secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: the file {path} is not text in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"{where}: the file {path} is empty")
    return text


def _unsealed(text: str, key: bytes, where: str) -> str:
    try:
        known = _BASE64URL.fullmatch(text)  # the decoder leaves out what it does not know
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if known else b""
    except ValueError:
        content = b""
    version, nonce, box = content[:1], content[1 : 1 + _NONCE], content[1 + _NONCE :]
    if version and version != _VERSION:
        raise _lost(where, "is damaged, or of a newer version")
    if len(box) < _TAG:
        raise _lost(where, "is not a whole sealed secret")
    try:
        return AESGCM(key).decrypt(nonce, box, _bound(version)).decode()
    except InvalidTag:
        raise _lost(where, "was sealed on another box, or was changed") from None


def _lost(where: str, what: str) -> SecretUnopened:
    error = SecretUnopened(f"{where} {what}", hint=_GIVE_AGAIN)
    error.key, error.what = where, what
    return error


def _bound(version: bytes) -> bytes:
    return b"edge secret " + version
