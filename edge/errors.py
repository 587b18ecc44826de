"""Every error that the edge raises on purpose, as one tree.

A foreign error (an operating system's, a library's) is wrapped once, at the seam where it enters,
and mapped once, at the door where it leaves (a DIMSE status, an HTTP status, an exit status).
The message says what happened to what; ``hint`` says what to do next. Neither holds patient data:
UIDs, counts and sizes may be named, names and dates of patients may not. (The log has references in
the place of UIDs: see `edge.logs`.)

    EdgeError
    ├── ConfigError               the configuration can't be used
    │   ├── ManyWrong             by more than one thing
    │   └── SecretUnopened        a sealed secret in it can't be opened on this box
    ├── SecretError               keys and sealed bytes
    │   ├── KeyUnavailable        the provider can't release the root secret now
    │   │   └── KeyLocked         nothing is wrong: it waits for somebody, or for a server
    │   ├── WrongKey              the secret that was given opens nothing here
    │   └── SealBroken            sealed bytes were changed, cut or swapped
    ├── InvalidInstance           the bytes are not an instance that can be kept
    │   ├── NotDicom              they can't be understood as DICOM at all, or end too early
    │   ├── InstanceMismatch      they are DICOM, but not what the sender announced
    │   ├── InstanceTooLong       it is longer than one may be
    │   └── NotStorable           its SOP class is of another service than Storage
    ├── InstanceUnreadable        an instance that was to be sent can't be read here
    ├── MultipartError            a multipart message that is none, or ends early
    ├── StorageFull               no room that may be used for it
    ├── InstanceNotFound          neither the edge nor the cloud is known to have it
    │   └── InstanceDeleted       it was here, and somebody deleted it
    ├── StepRefused               what a device says of a procedure step does not follow the rules
    ├── DecisionRefused           what a person decided can't be done to this instance
    │   └── NotYet                it can, once what was decided before it is done
    ├── DeletionRefused           what was to be deleted may be the only copy, or can't be told on
    ├── PixelError                pixels that can't be given in the form that was asked for
    │   ├── NotAnImage            the instance has no pixels, or none that is a still image
    │   ├── UndecodablePixels     they are damaged, or encoded in a way that is not known here
    │   ├── PixelBudgetExceeded   they would take more memory than one image may
    │   └── PixelWorkersBusy      too many others wait for their pixels: try again
    ├── QueryError                a search that can't be understood
    ├── AccessDenied              the caller is unknown, or may not do this
    │   └── TooManyAttempts       too many wrong guesses came from there: not before some time
    ├── UserRefused               what was to become of a user, or of a password, can't be
    ├── IssuerError               the identity provider, or what it says, can't be used
    │   ├── IssuerUnreachable     no answer: offline is a state, try again later
    │   └── GrantRefused          it vouches for somebody no longer, or not at all
    ├── PeerError                 a DIMSE peer broke the protocol, or is gone
    │   └── PeerRefused           a peer will not associate with us
    ├── ViewerUnusable            the viewer's package, or what was made of it, can't be served
    ├── MachineRefused            the machine under the box does not do what was wished of it
    ├── UpdateRefused             an update that can't be used, or not now
    ├── LineClosed                nothing of sync may go over the line now: it goes on by itself
    ├── TooManyListeners          so many follow what happens here that one more can't
    └── CloudError                the archive, or the way to it
        ├── CloudUnreachable      no answer: offline is a state, try again later
        │   └── CloudIntercepted  something else answers in the archive's place
        ├── CloudUnauthorised     the archive refuses our credentials
        └── CloudRefused          the archive answered, and the answer is no
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

__all__ = [
    "AccessDenied",
    "CloudError",
    "CloudIntercepted",
    "CloudRefused",
    "CloudUnauthorised",
    "CloudUnreachable",
    "ConfigError",
    "DecisionRefused",
    "DeletionRefused",
    "EdgeError",
    "GrantRefused",
    "How",
    "InstanceDeleted",
    "InstanceMismatch",
    "InstanceNotFound",
    "InstanceTooLong",
    "InstanceUnreadable",
    "InvalidInstance",
    "IssuerError",
    "IssuerUnreachable",
    "KeyLocked",
    "KeyUnavailable",
    "LineClosed",
    "MachineRefused",
    "ManyWrong",
    "MultipartError",
    "Needs",
    "NotAnImage",
    "NotDicom",
    "NotStorable",
    "NotYet",
    "PeerError",
    "PeerRefused",
    "PixelBudgetExceeded",
    "PixelError",
    "PixelWorkersBusy",
    "QueryError",
    "SealBroken",
    "SecretError",
    "SecretUnopened",
    "StepRefused",
    "StorageFull",
    "TooManyAttempts",
    "TooManyListeners",
    "UndecodablePixels",
    "UpdateRefused",
    "UserRefused",
    "ViewerUnusable",
    "WrongKey",
]


class EdgeError(Exception):
    """Root of the tree.

    Args:
        message: What happened to what.
        hint: What the reader should do next; empty if nothing can be done.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(EdgeError):
    """The configuration can't be used; the message names file, line and key."""

    key = ""
    """Which one, with dots and the numbers of tables; empty if it is about no single one."""
    what = ""
    """What is wrong with it, without the place."""
    near: tuple[str, ...] = ()
    """Values that would do, and are like the one that does not."""

    @property
    def in_short(self) -> str:
        """The key and what is wrong with it, for who knows nothing of files."""
        return f"{self.key} {self.what}" if self.key and self.what else str(self)


class ManyWrong(ConfigError):
    """The same of more than one thing; the message has a line for each, and for what to do.

    Args:
        lines: Of the message. A line end within one of them ends nothing where it is shown.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class SecretUnopened(ConfigError):
    """A sealed secret of the configuration can't be opened here: it must be given again."""


class SecretError(EdgeError):
    """Something about keys or sealed bytes."""


class KeyUnavailable(SecretError):
    """The key provider can't release the root secret now."""


class Needs(StrEnum):
    """What a locked box waits for."""

    PASSPHRASE = "passphrase"  # noqa: S105 - its name
    NEW_PASSPHRASE = "new passphrase"  # noqa: S105 - likewise
    """Nobody has chosen one yet."""
    SERVER = "server"
    """It opens by itself once one answers."""
    RECOVERY_KEY = "recovery key"
    """Nothing else opens it."""
    ADMIN = "admin"
    """Somebody locked it; who administers the machine may open it again."""


class KeyLocked(KeyUnavailable):
    """The box is locked, and nothing is wrong; it is opened again by what it ``needs``."""

    def __init__(self, message: str, *, needs: Needs, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.needs = needs


class WrongKey(SecretError):
    """The secret that was given opens nothing here."""


class SealBroken(SecretError):
    """Sealed bytes were changed, cut short or exchanged for others."""


class InvalidInstance(EdgeError):
    """The bytes are not an instance that can be kept."""


class NotDicom(InvalidInstance):
    """The bytes can't be understood as DICOM, or end before the data set does."""


class InstanceMismatch(InvalidInstance):
    """The data set is not the instance that the sender announced."""


class InstanceTooLong(InvalidInstance):
    """An instance is longer than one may be; the hint names the setting."""


class NotStorable(InvalidInstance):
    """The SOP class is of another service than Storage (PS3.4 B.5)."""


class InstanceUnreadable(EdgeError):
    """An instance that was to be sent can't be read here; the request broke off at it."""

    def __init__(self, sop_uid: str, why: str) -> None:
        super().__init__(
            f"instance {sop_uid} can't be read: {why}",
            hint="look at the health of the disk; send it again from the device that made it",
        )
        self.sop_uid = sop_uid


class MultipartError(EdgeError):
    """The body is not the multipart message that its Content-Type announces, or it ends early."""


class StorageFull(EdgeError):
    """There is no room that may be used; nothing of the instance was kept."""


class InstanceNotFound(EdgeError):
    """Neither the edge nor the archive is known to have it."""


class InstanceDeleted(InstanceNotFound):
    """It was here, and was deleted on purpose; what the archive may have of it is not asked for."""


class StepRefused(EdgeError):
    """A performed procedure step was not made or changed (PS3.4 F.7); ``fault`` says why.

    Args:
        message: What is wrong, without a value of the step.
        fault: One of ``edge.dicom.procedure.Fault``.
        tags: The attributes that it is about.
    """

    def __init__(self, message: str, *, fault: str, tags: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fault = fault
        self.tags = tags


class DecisionRefused(EdgeError):
    """A decision about a dead letter or a conflict can't be carried out; nothing was changed."""


class NotYet(DecisionRefused):
    """Something else comes first, which goes on by itself; look again after ``retry_after`` s."""

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class DeletionRefused(EdgeError):
    """Nothing was deleted: it may exist only here, or there is no archive that could be told."""


class PixelError(EdgeError):
    """The pixels of an instance can't be given in the form that was asked for."""


class NotAnImage(PixelError):
    """The instance has no pixels, or they are a stream of video and no still image."""


class UndecodablePixels(PixelError):
    """The pixels are damaged, or encoded in a way that is not known here."""


class PixelBudgetExceeded(PixelError):
    """The pixels would take more memory than one image may; nothing was decoded."""


class PixelWorkersBusy(PixelError):
    """Too many others wait for their pixels; the same request may succeed soon."""


class QueryError(EdgeError):
    """The search can't be understood; the message names the parameter."""


class AccessDenied(EdgeError):
    """The caller is unknown (``known`` is false), or may not do this.

    ``name`` says who it is where whoever catches it can't know.
    """

    def __init__(
        self, message: str, *, hint: str = "", known: bool = False, name: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.known = known
        self.name = name


class TooManyAttempts(AccessDenied):
    """Not now, whatever the proof is; ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class UserRefused(EdgeError):
    """What was to become of a user or of what proves one can't be; nothing was changed."""


class IssuerError(EdgeError):
    """The identity provider answers in a way that can't be used, or believed."""


class IssuerUnreachable(IssuerError):
    """No answer from the identity provider: it says nothing against anybody."""


class GrantRefused(IssuerError):
    """The identity provider knows us, and does not vouch for whom it was asked about."""


class How(StrEnum):
    """How an association came to its end without a release."""

    VIOLATION = "violation"
    """Something came that may not, or can't be read."""
    OTHER_PROTOCOL = "other protocol"
    """What came first is no DICOM at all."""
    TLS = "tls"
    """The handshake failed."""
    UNREACHABLE = "unreachable"
    """There was no connection."""
    REJECTED = "rejected"
    ABORTED = "aborted"
    """By A-ABORT."""
    BROKEN = "broken"
    """The connection ended."""
    SILENT = "silent"
    """Nothing came, or no answer, for as long as may be."""
    STALLED = "stalled"
    """A message came or went too slowly, or came to a halt."""
    IDLE = "idle"
    """Nothing was asked for as long as may be."""
    TOO_LONG = "too long"
    """A data set was."""
    GAVE_WAY = "gave way"
    """Another needed the connection."""
    OURS = "ours"
    """This side wanted no more of it; nothing is wrong with the peer."""


class PeerError(EdgeError):
    """A DIMSE peer broke the protocol (PS3.8) or its limits; the association ends.

    Args:
        message: What happened.
        hint: What to do.
        how: It ended; for the doctor (`edge.dimse.doctor`).
    """

    def __init__(self, message: str, *, hint: str = "", how: How = How.VIOLATION) -> None:
        super().__init__(message, hint=hint)
        self.how = how


class PeerRefused(PeerError):
    """A peer will not associate with us: A-ASSOCIATE-RJ, with the codes of PS3.8 9.3.4."""

    def __init__(self, *, result: int, source: int, reason: int) -> None:
        why, hint = _REJECTIONS.get((source, reason), ("it does not say why", ""))
        message = f"the peer rejected the association: {why}"
        super().__init__(message, hint=hint, how=How.REJECTED)
        self.is_transient = result == 2
        """It may be otherwise later."""
        self.codes = result, source, reason


_REJECTIONS = {
    (1, 1): ("it gives no reason", ""),
    (1, 2): ("it does not know DICOM's application context", ""),
    (1, 3): ("it does not know our AE title", "enter our AE title and address there"),
    (1, 7): ("it has another AE title", "correct its AE title here"),
    (2, 1): ("it gives no reason", ""),
    (2, 2): ("it does not know our version of the protocol", ""),
    (3, 1): ("it is congested", "try again later"),
    (3, 2): ("it has as many associations as it allows", "try again later"),
}
"""Source and reason -> words, and what to do."""


class ViewerUnusable(EdgeError):
    """The viewer's package, or the folder that was made of it, is not what can be served."""


class MachineRefused(EdgeError):
    """The machine under the box won't do what was wished of it, or can't."""


class UpdateRefused(EdgeError):
    """An update can't be used, or not now; the machine goes on with what it has."""


class LineClosed(EdgeError):
    """The calendar or the budget lets nothing of sync over the line now; says nothing about it."""


class TooManyListeners(EdgeError):
    """So many follow what happens here that one more can't; others may end at any time."""


class CloudError(EdgeError):
    """The archive, or the way to it, did not do what was asked."""


class CloudUnreachable(CloudError):
    """No usable answer came: the line, the name service, TLS, or a 5xx.

    ``retry_after`` is in seconds, as the archive asked, or None.
    """

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class CloudIntercepted(CloudUnreachable):
    """A captive portal, a login page or a web page answers where the archive should."""


class CloudUnauthorised(CloudError):
    """The archive refuses our credentials (401, 403)."""


class CloudRefused(CloudError):
    """The archive answered, and the answer is no; ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
