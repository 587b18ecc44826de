"""What works on the way to an archive, and what does not: one step after the other, in plain words.

Owns the walk: name, connection, proxy, TLS, clock, login, search; then a marked test instance that
is stored, found, retrieved, compared and deleted. Promises that a step is only as good as the box
would find it, since the archive's own driver takes it; that nothing but that one instance is stored
or deleted; and that it is deleted again whatever happens, or said to be left. Prints nothing: the
steps are values, for a terminal as for a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import httpx

from edge.cloud.archive import Dataset, StoreOutcome, StoreResult
from edge.cloud.certificate import Certificate
from edge.cloud.clock import FAR_OFF, moment, offset_words, words_of_look
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.findings import Finding, Step, Verdict
from edge.cloud.knock import Head, Knock, look_at
from edge.cloud.specimen import PATIENT_ID, Specimen
from edge.cloud.transport import translated
from edge.cloud.words import (
    NOT_EARLIER,
    SET_CLOCK,
    is_about_name,
    is_of_tls_for_good,
    where_of,
    words_for,
)
from edge.dicom.digest import Digester
from edge.errors import (
    CloudError,
    CloudIntercepted,
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    EdgeError,
    NotDicom,
)

__all__ = ["Diagnosis"]

_ENDS_SOON = 21
"""Days that a certificate should be valid yet."""
_NO_RIGHT = "delete it in the archive itself, or give these credentials the right to delete"
_NO_DELETE = 'delete it in the archive itself; an Orthanc deletes with kind = "orthanc"'


_BAD_REQUEST = 400
"""What servers of TLS say to who speaks in the clear, if they say something."""

_Told = tuple[Verdict, str, str]
_Act = Callable[[], Awaitable[_Told]]


class Diagnosis:
    """One walk to one archive.

    Args:
        archive: Is tested as it is configured; not closed.
        patience: Seconds that a step of the network may take.
        listing: Seconds after which a stored instance must be found.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        archive: DicomwebArchive,
        *,
        patience: float = 10.0,
        listing: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._route = archive.route
        self._where = where_of(archive.route.url)
        self._patience = patience
        self._listing = listing
        self._clock = clock
        self._addresses: list[str] = []
        self._head: Head | None = None
        self._studies: list[Dataset] = []
        self._specimen = Specimen.fresh(clock())
        self._may_be_there = False

    async def findings(self) -> AsyncGenerator[Finding]:
        """Take the steps until one fails; what was stored is deleted all the same.

        Raises:
            ConfigError: A certificate or key can't be used.
        """
        try:
            for part in (self._way, self._questions):
                async with aclosing(part()) as findings:
                    async for finding in findings:
                        yield finding
                        if finding.verdict is Verdict.FAILED:
                            return
            async with aclosing(self._there_and_back()) as findings:
                async for finding in findings:
                    yield finding
        finally:
            if self._may_be_there:  # Somebody lost patience.
                with contextlib.suppress(EdgeError, TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self._archive.delete_instance(self._specimen.ref)

    async def _take(self, step: Step, act: _Act) -> Finding:
        began = time.monotonic()
        try:
            with translated(self._archive.name, self._route.url, self._route.proxy):
                verdict, found, hint = await act()
        except CloudError as error:
            verdict, found, hint = Verdict.FAILED, self._words(error), error.hint
        return Finding(step, verdict, found, hint, (time.monotonic() - began) * 1000)

    def _words(self, error: CloudError) -> str:
        return str(error).removeprefix(f"archive {self._archive.name}: ")

    # The way -------------------------------------------------------------------------------------

    async def _way(self) -> AsyncGenerator[Finding]:
        async with Knock(self._route, patience=self._patience) as knock:
            steps: list[tuple[Step, _Act]] = [
                (Step.NAME, lambda: self._resolve(knock)),
                (Step.CONNECT, lambda: self._connect(knock)),
            ]
            if self._route.proxy is not None:
                steps.append((Step.PROXY, lambda: self._pass_proxy(knock)))
            steps += [
                (Step.TLS, lambda: self._secure(knock)),
                (Step.CLOCK, lambda: self._ask(knock)),
            ]
            for step, act in steps:
                yield await self._take(step, act)

    @property
    def _first(self) -> str:
        return "the archive" if self._route.proxy is None else "the proxy"

    async def _resolve(self, knock: Knock) -> _Told:
        host, _ = self._route.first
        self._addresses = await knock.resolve()
        if self._addresses == [host]:
            return Verdict.PASSED, f"{self._first} is given by its address, {host}", ""
        return Verdict.PASSED, f"{self._first}, {host}, is {', '.join(self._addresses)}", ""

    async def _connect(self, knock: Knock) -> _Told:
        address = await knock.connect(self._addresses)
        _, port = self._route.first
        return Verdict.PASSED, f"{self._first} takes connections at {address} port {port}", ""

    async def _pass_proxy(self, knock: Knock) -> _Told:
        if self._route.encrypted:
            await knock.tunnel()
            return Verdict.PASSED, f"the proxy lets us through to {self._where}", ""
        self._head = await knock.head()
        if self._head.status == 407:
            raise httpx.ProxyError(f"407 {self._head.reason}")
        return Verdict.PASSED, f"the proxy forwards to {self._where}", ""

    async def _secure(self, knock: Knock) -> _Told:
        if not self._route.encrypted:
            if await self._is_only_encrypted(knock):
                raise CloudRefused(
                    f"{self._where} answers with encryption alone, and the url begins with http://",
                    status=400,
                    hint="it must begin with https://",
                )
            return (
                Verdict.NOTED,
                "nothing is encrypted: the url begins with http://",
                "use https, unless this is a laboratory",
            )
        context = self._route.context()
        try:
            certificate = await knock.secure(context)
            await knock.stay()
        except ssl.SSLCertVerificationError as error:
            what, hint = await self._untrusted(error)
            raise CloudUnreachable(what, hint=hint) from error
        except httpx.ReadError as error:
            raise self._hung_up() from error
        days = certificate.days_left(self._clock())
        found = f"{_described(certificate)}, valid for {days} days yet, until {certificate.end}"
        if days < _ENDS_SOON:
            return Verdict.NOTED, found, "have the archive's keeper renew it in time"
        return Verdict.PASSED, found, ""

    async def _is_only_encrypted(self, knock: Knock) -> bool:
        """Whether who is asked in the clear hangs up or complains, and would speak TLS."""
        if self._route.proxy is None:
            with contextlib.suppress(httpx.HTTPError, OSError):
                self._head = await knock.head()
        if self._head is not None and self._head.status != _BAD_REQUEST:
            return False
        look = await look_at(self._route, patience=self._patience)
        return look.certificate is not None

    def _hung_up(self) -> CloudUnreachable:
        return CloudUnreachable(
            f"{self._where} ends the connection in the TLS handshake, without a word",
            hint="it may want a client certificate (tls_certificate, tls_key), or another one; or a"
            " firewall is in between",
        )

    async def _untrusted(self, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
        """Why, with a second look at what was shown."""
        now = self._clock()
        look = await look_at(self._route, patience=self._patience)
        words = words_for(error, self._route.url, self._route.proxy, now=now)
        if look.certificate is None:
            return words
        described = _described(look.certificate)
        if is_about_name(error):
            return (
                f"{words[0]}: the {described}",
                f"{words[1]}; a firewall or captive portal in between shows its own name, too",
            )
        if of_time := words_of_look(look, self._where, now):
            return of_time
        return (
            f"{words[0]}: the {described}",
            f"{words[1]}; if a firewall issued it, have that let this connection through unopened",
        )

    async def _ask(self, knock: Knock) -> _Told:
        """Whose clock is wrong, if they differ."""
        now = self._clock()
        if now < NOT_EARLIER:
            return Verdict.NOTED, f"this box's clock is wrong: it says {moment(now)}", SET_CLOCK
        try:
            head = self._head or await knock.head()
            date = head.date
        except (httpx.HTTPError, OSError) as error:
            if is_of_tls_for_good(error):
                raise
            date = None  # The next question will be answered, or named.
        now = self._clock()
        if date is None:
            return Verdict.PASSED, f"here it is {moment(now)}; the archive tells no time", ""
        if abs(now - date) > FAR_OFF:
            what = f"this box's clock says {moment(now)}, {offset_words(now, date)}"
            return Verdict.NOTED, what, f"{SET_CLOCK}, or have the archive's keeper set that one"
        return Verdict.PASSED, f"here it is {moment(now)}; the archive agrees", ""

    # Questions -----------------------------------------------------------------------------------

    async def _questions(self) -> AsyncGenerator[Finding]:
        trouble: CloudError | None = None

        async def log_in() -> _Told:
            nonlocal trouble
            try:
                self._studies = await self._archive.search_studies(limit=1)
            except (CloudUnauthorised, CloudIntercepted):
                raise
            except CloudError as error:
                trouble = error
            return Verdict.PASSED, "the archive lets us in", ""

        async def search() -> _Told:
            if trouble is not None:
                raise trouble
            has = "has studies" if self._studies else "has no study yet"
            return Verdict.PASSED, f"it answers with DICOM, and {has}", ""

        login = await self._take(Step.LOGIN, log_in)
        # Who was not understood, or not answered, does not know whether he would be let in.
        unknown = isinstance(trouble, CloudUnreachable) or (
            isinstance(trouble, CloudRefused) and trouble.status == 400
        )
        if not unknown:
            yield login
            if login.verdict is Verdict.FAILED:
                return
        yield await self._take(Step.SEARCH, search)

    # There and back ------------------------------------------------------------------------------

    async def _there_and_back(self) -> AsyncGenerator[Finding]:
        finding = await self._take(Step.STORE, self._store)
        yield finding
        if finding.verdict is not Verdict.FAILED:
            yield await self._take(Step.FIND, self._find)
            yield await self._take(Step.RETRIEVE, self._retrieve)
        if self._may_be_there:
            yield await self._take(Step.DELETE, self._delete)

    async def _store(self) -> _Told:
        self._may_be_there = True
        try:
            (result,) = await self._archive.store_instances([self._specimen.outgoing()])
        except CloudError:
            self._may_be_there = False
            raise
        if result.outcome is StoreOutcome.FAILED:
            self._may_be_there = False
            raise CloudRefused(
                f"the archive refuses the test instance{_why(result)}",
                status=result.status or 0,
                hint="look into the archive's own log; these credentials may lack the right",
            )
        if result.outcome is StoreOutcome.UNKNOWN:
            raise CloudUnreachable(
                f"the archive did not say what became of the test instance{_why(result)}",
                hint="the line, a proxy or a firewall may break uploads off",
            )
        size = len(self._specimen.data)
        return Verdict.PASSED, f"it took the test instance, {size} bytes{_why(result)}", ""

    async def _find(self) -> _Told:
        ref, loop = self._specimen.ref, asyncio.get_running_loop()
        end, pause = loop.time() + self._listing, 0.1
        while not await self._archive.search_instances(ref.study_uid, ref.series_uid, ref.sop_uid):
            if loop.time() > end:
                raise CloudRefused(
                    f"it took the test instance, and does not list it after {self._listing:g} s",
                    status=200,
                    hint="look into the archive's own log: it may index late, or file it elsewhere",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)
        return Verdict.PASSED, "it lists the test instance", ""

    async def _retrieve(self) -> _Told:
        sent, got = self._specimen.data, bytearray()
        async with aclosing(self._archive.retrieve_instance(self._specimen.ref)) as pieces:
            try:
                async for piece in pieces:
                    got += piece
                    if len(got) > 2 * len(sent) + 65536:
                        break
            except EdgeError as error:
                if isinstance(error, CloudError):
                    raise
                raise CloudRefused(str(error), status=404, hint=error.hint) from error
        if got == sent:
            return Verdict.PASSED, f"it gives the same {len(sent)} bytes back", ""
        if _data_set_of(got) == _data_set_of(sent):
            return Verdict.PASSED, "it gives the same data set back, in an envelope of its own", ""
        raise CloudRefused(
            f"it gives other bytes back: {len(got)} where {len(sent)} were sent",
            status=200,
            hint="the archive changes what it gets: nothing would ever count as safe there; see its"
            " coercion and transcoding settings",
        )

    async def _delete(self) -> _Told:
        left = (
            f"it is left there, with Patient ID {PATIENT_ID}, study {self._specimen.ref.study_uid}"
        )
        self._may_be_there = False
        try:
            await self._archive.delete_instance(self._specimen.ref)
        except CloudUnauthorised as error:
            what = f"the archive does not let us delete ({self._words(error)})"
            return Verdict.NOTED, f"{what}: {left}", _NO_RIGHT
        except CloudRefused as error:
            return (
                Verdict.NOTED,
                f"the archive does not delete ({error.status}): {left}",
                _NO_DELETE,
            )
        except CloudError as error:
            hint = f"{error.hint}; delete it in the archive itself".lstrip("; ")
            raise CloudUnreachable(f"{self._words(error)}: {left}", hint=hint) from error
        except EdgeError:
            return Verdict.PASSED, "it is not there any more", ""
        return Verdict.PASSED, "the test instance is gone again", ""


def _described(certificate: Certificate) -> str:
    return f"certificate is for {certificate.who}, issued by {certificate.issuer}"


def _why(result: StoreResult) -> str:
    """What the archive said beside yes or no; of the test instance, so it names nobody."""
    facts = []
    if result.status is not None and result.outcome is not StoreOutcome.STORED:
        facts.append(f"HTTP {result.status}")
    if result.reason is not None:
        facts.append(f"reason {result.reason:04X}")
    if result.text:
        facts.append(result.text)
    return f" ({', '.join(facts)})" if facts else ""


def _data_set_of(part10: bytes | bytearray) -> bytes | None:
    digester = Digester()
    try:
        digester.update(part10)
    except NotDicom:
        return None
    return digester.digests()[1]
