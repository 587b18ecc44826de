"""The way back to a peer, tried: an association by us, with one C-ECHO on it (PS3.4 A).

Promises a sentence for whatever comes of it, and what to do, for a technician; it raises nothing
because of a peer.
"""

from __future__ import annotations

import time

from edge.cache.peers import Reached
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.peers import Peers
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.tls_words import why_ended
from edge.errors import EdgeError, PeerError, PeerRefused
from edge.others import Peer
from edge.peering import is_network

__all__ = ["PROPOSAL", "echo", "echo_named"]

PROPOSAL = Proposal(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
_WANTS_TLS = "if that port speaks TLS, set tls = true for the peer"


async def echo(dialer: Dialer, peer: Peer) -> Reached:
    """Call a peer, and ask whether it is there."""
    began = time.monotonic()
    works, found, hint = await _tried(dialer, peer)
    milliseconds = round((time.monotonic() - began) * 1000, 1)
    where = f"{peer.host}:{peer.port}" if _is_somewhere(peer) else ""
    return Reached(peer.ae_title.strip(), where, works, found, hint, milliseconds)


async def echo_named(dialer: Dialer, peers: Peers, name: str) -> Reached:
    """Call the peer of that name or AE title."""
    peer = peers.named(name)
    if peer is None:
        return Reached(name, "", False, "no peer is called so", "see edge peer list", 0.0)
    return await echo(dialer, peer)


async def _tried(dialer: Dialer, peer: Peer) -> tuple[bool, str, str]:
    """Whether it works, what was found, and what to do."""
    if not _is_somewhere(peer):
        why = "a network can't be called" if peer.host else "it is not said where it is"
        return False, why, "name its address as host of the peer"
    try:
        return await _asked(dialer, peer)
    except PeerRefused as error:
        return False, str(error), error.hint
    except PeerError as error:
        if error.hint or not peer.tls:
            return False, str(error), error.hint or _hint(error)
        return (False, *why_ended(error))
    except EdgeError as error:
        return False, f"TLS can't be spoken from here: {error}", error.hint


def _is_somewhere(peer: Peer) -> bool:
    return bool(peer.host) and not is_network(peer.host)


async def _asked(dialer: Dialer, peer: Peer) -> tuple[bool, str, str]:
    async with dialer.call(peer, [PROPOSAL]) as association:
        context = association.find(VERIFICATION)
        if context is None:
            why = "it accepts associations, and refuses C-ECHO on them"
            return False, why, "have it allow Verification to our AE title"
        answer = await association.dialogue.request(
            context.context_id,
            CommandField.C_ECHO,
            {Element.AFFECTED_SOP_CLASS_UID: VERIFICATION},
        )
    if answer.status != Status.SUCCESS:
        return False, f"it answers C-ECHO with status {answer.status:04X}", ""
    return True, "it answers C-ECHO", ""


def _hint(error: PeerError) -> str:
    """Who speaks TLS answers plain DICOM with an alert (15), or by hanging up."""
    said = str(error)
    return _WANTS_TLS if "PDU of type" in said or "connection" in said else ""
