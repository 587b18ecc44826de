"""The root secret under what Tang servers give back: the box opens in their network alone.

Any one of the servers opens it. What it was wrapped by is bound to each (``tang``), so a server
must have been reachable once for it to count: what is new in the configuration is bound when the
service next asks, and so is a new key of a server.

Grace: a server may be away while the service restarts. So the kernel keeps the secret for
``grace_hours``, counted from the last time that a server answered (``kernel``). A machine that was
without power has nothing of the kind: what lay on its disk to let it start would let a thief start
it. It waits, locked, until a server answers.

Attack model: a thief with the box must reach a server to open it, so a server belongs into the
clinic's own network, and into no other that the box could be carried to or can call. Who listens on
the wire, or plays a server, learns nothing; at worst the box stays shut.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from edge.crypto.kernel import KernelMemory
from edge.crypto.providers.base import ROOT_LENGTH
from edge.crypto.providers.wrapped import ByServers, Share, WrappedRoot, unwrap, wrap
from edge.crypto.tang import Binding, Point, Question, bind, exchange_keys
from edge.crypto.twin import copies
from edge.errors import KeyLocked, KeyUnavailable, Needs, SecretError, WrongKey
from edge.others import KeyServer

__all__ = ["NetworkKeyProvider"]

log = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(5.0, connect=3.0)
_MOST_SECONDS = 10.0
"""For an answer, however slowly it drips."""
_MOST = 64 * 1024
"""Bytes of an answer."""
_HINT = "it opens by itself once one answers; or by edge key unlock --recovery, on this machine"


@dataclass
class NetworkKeyProvider:
    """Opens the box where one of the servers can be reached.

    Args:
        wrapped: The file.
        kernel: Keeps the secret over a restart of the service.
        servers: Any of them.
    """

    wrapped: WrappedRoot
    kernel: KernelMemory
    servers: Sequence[KeyServer]

    opens_alone = True
    is_destroyed_by_locking = False

    def root_secret(self, *, first_start: bool) -> bytes:
        """Ask the servers; make the secret, if this is the first start and there is none.

        Raises:
            KeyLocked: None of them gives it back now, and the kernel has it no more.
            SecretError: The file is damaged.
        """
        if first_start and not self.wrapped.exists():
            secret = os.urandom(ROOT_LENGTH)
            if why := self._bind_all(secret):
                raise _locked(why)
            return secret
        found = self.wrapped.required(ByServers)
        assert isinstance(found, ByServers)
        said: dict[str, str] = {}
        if (released := self._released(found, said)) is not None:
            return released
        if (remembered := self.kernel.recall(self.wrapped.digest())) is not None:
            log.warning("no server that keeps the root secret answers: %s", _words(said))
            return remembered
        raise _locked(said)

    @property
    def files(self) -> tuple[Path, ...]:
        """Both copies."""
        return copies(self.wrapped.path)

    def keep(self, secret: bytes) -> None:
        """Bind it to the servers that can be reached now; ``remember`` does so with others later.

        Raises:
            KeyLocked: There is none.
        """
        if why := self._bind_all(secret):
            raise _locked(why)

    def put_back(self, secret: bytes) -> None:
        """The same; but without any server, what is there stays there, for that may be right."""
        if why := self._bind_all(secret):
            log.warning("the root secret is bound to no server yet: %s", _words(why))

    def mend(self) -> None:
        """Make both copies whole."""
        self.wrapped.mend()

    def destroy(self) -> None:
        """Destroy the file."""
        self.wrapped.destroy()

    def remember(self, secret: bytes) -> bool:
        """Renew what the kernel has if a server answers; and bind it to what servers are new."""
        try:
            self._bind_new(secret, self._shares())
            is_near = self._released(ByServers(self._shares()), {}) == secret
        except (SecretError, OSError) as error:
            log.warning("the root secret can't be bound to its servers now: %s", error)
            is_near = False
        if is_near:
            self.kernel.keep(self.wrapped.digest(), secret)
        return True

    def forget(self) -> None:
        """The kernel has it no more."""
        self.kernel.forget()

    def _shares(self) -> tuple[Share, ...]:
        found = self.wrapped.read(ByServers)
        return found.shares if isinstance(found, ByServers) else ()

    # Asking ---------------------------------------------------------------------------------------

    def _released(self, found: ByServers, why: dict[str, str]) -> bytes | None:
        """What the first server that has it gives back; *why* is told what the others said."""
        bound = {share.thumbprint: share for share in found.shares}
        for server in self.servers:
            if (share := bound.get(server.thumbprint)) is None:
                why[server.url] = "it was never reached, so nothing is bound to it"
                continue
            try:
                return _opened_by(server, share)
            except (SecretError, ValueError) as error:
                why[server.url] = str(error)
        return None

    def _bind_all(self, secret: bytes) -> dict[str, str]:
        """Bind it to every server that can be reached; empty, or why that is none."""
        shares: list[Share] = []
        why: dict[str, str] = {}
        for server in self.servers:
            try:
                shares.append(_bound_to(server, _advertised(server)[0], secret))
            except SecretError as error:
                why[server.url] = str(error)
        if not shares:
            return why or {"keys.server": "there is none"}
        self.wrapped.write(ByServers(tuple(shares)))
        for url, reason in why.items():
            log.warning("the root secret is not bound to %s yet: %s", url, reason)
        return {}

    def _bind_new(self, secret: bytes, shares: Sequence[Share]) -> None:
        """Bind it to servers and keys that are new, and no more to those that are not named."""
        bound = {share.thumbprint: share for share in shares}
        wanted: list[Share] = []
        for server in self.servers:
            share = bound.get(server.thumbprint)
            try:
                keys = _advertised(server)
                if share is None or Point.from_bytes(share.key) not in keys:
                    share = _bound_to(server, keys[0], secret)
                    log.warning("the root secret is bound to %s", server.url)
            except (SecretError, ValueError):
                pass  # one that is away is bound another time
            if share is not None:
                wanted.append(share)
        if wanted and tuple(wanted) != tuple(shares):
            self.wrapped.write(ByServers(tuple(wanted)))


def _opened_by(server: KeyServer, share: Share) -> bytes:
    """The secret, with the help of a server.

    Raises:
        KeyUnavailable: It does not answer as one.
        WrongKey: Its answer opens nothing.
        ValueError: The share has no points of the curve.
    """
    binding = Binding(Point.from_bytes(share.key), Point.from_bytes(share.ours))
    question = Question(binding)
    answer = _asked(server, "POST", binding.path, question.body())
    for key in question.candidates(answer):
        try:
            return unwrap(share.box, key, *_bound(share.thumbprint, binding))
        except WrongKey:
            continue
    raise WrongKey("its answer opens nothing: it is not the server that the box was bound to")


def _bound_to(server: KeyServer, key: Point, secret: bytes) -> Share:
    """The secret, bound to a server that has proved to give it back.

    Raises:
        SecretError: It does not.
    """
    binding, wrapping = bind(key)
    box = wrap(secret, wrapping, *_bound(server.thumbprint, binding))
    share = Share(server.thumbprint, key.to_bytes(), binding.ours.to_bytes(), box)
    _opened_by(server, share)
    return share


def _advertised(server: KeyServer) -> list[Point]:
    return exchange_keys(_asked(server, "GET", "/adv", b""), server.thumbprint)


def _bound(thumbprint: str, binding: Binding) -> Iterator[bytes | str]:
    yield from (b"network", thumbprint, binding.server.to_bytes(), binding.ours.to_bytes())


def _asked(server: KeyServer, method: str, path: str, body: bytes) -> bytes:
    """What a server answers.

    Raises:
        KeyUnavailable: Nothing, or no success.
    """
    headers = {"Content-Type": "application/jwk+json"} if body else {}
    until = time.monotonic() + _MOST_SECONDS
    answer = bytearray()
    try:
        # No proxy: who keeps the key is in this network.
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=False) as client,
            client.stream(
                method, server.url.rstrip("/") + path, content=body or None, headers=headers
            ) as response,
        ):
            for piece in response.iter_raw():
                answer += piece
                if len(answer) > _MOST or time.monotonic() > until:
                    raise KeyUnavailable("its answer does not end")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise KeyUnavailable(f"it does not answer: {error or type(error).__name__}") from error
    if response.status_code == 404 and body:
        raise KeyUnavailable("it has the key no more that the box was bound to")
    if response.status_code != 200:
        raise KeyUnavailable(f"it answers with status {response.status_code}: is it a Tang server?")
    return bytes(answer)


def _locked(why: Mapping[str, str]) -> KeyLocked:
    return KeyLocked(
        f"no server that keeps its key answers: {_words(why)}", needs=Needs.SERVER, hint=_HINT
    )


def _words(why: Mapping[str, str]) -> str:
    return "; ".join(f"{url}: {reason}" for url, reason in why.items())
