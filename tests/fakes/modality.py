"""A modality that asks for storage commitment and hears reports, played by pynetdicom.

Owns its port and threads. What it answers to a report is set by a test; what it heard is kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.sop_class import StorageCommitmentPushModel

from edge.dimse.storage_commitment import WELL_KNOWN_INSTANCE
from tests.ports import free_port

CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENCE = 30.0


@dataclass(frozen=True)
class Heard:
    """A report."""

    event: int
    transaction_uid: str
    committed: tuple[str, ...]
    failed: dict[str, int]
    retrieve_ae: str
    as_requestor: bool
    """It came on an association that the modality had asked for."""


@dataclass
class Modality:
    """One of them."""

    ae_title: str = "CT1"
    port: int = field(default_factory=free_port)
    status: int = 0x0000
    heard: list[Heard] = field(default_factory=list)
    accepts_context: bool = True
    _server: Any = None

    def _hear(self, event: Any, *, as_requestor: bool) -> tuple[int, None]:
        data = event.event_information
        self.heard.append(
            Heard(
                event.event_type,
                str(data.TransactionUID),
                tuple(
                    str(it.ReferencedSOPInstanceUID) for it in data.get("ReferencedSOPSequence", [])
                ),
                {
                    str(it.ReferencedSOPInstanceUID): int(it.FailureReason)
                    for it in data.get("FailedSOPSequence", [])
                },
                str(data.get("RetrieveAETitle", "")),
                as_requestor,
            )
        )
        return self.status, None

    def switch_on(self) -> None:
        """Listen for reports."""
        ae = AE(self.ae_title)
        ae.add_supported_context("1.2.840.10008.1.1")
        if self.accepts_context:
            ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, lambda it: self._hear(it, as_requestor=False))]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def switch_off(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def ask(
        self, port: int, sops: Iterable[str], uid: str, *, stay: float = 0.0, sop_class: str = CT
    ) -> int:
        """Ask the box; the status. It stays associated until a report came, or so many seconds."""
        ae = AE(self.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel)
        answering, answered = threading.Event(), threading.Event()

        def told(it: Any) -> None:
            if isinstance(it.message, N_EVENT_REPORT_RSP):
                answering.set()

        def sent(_: Any) -> None:
            if answering.is_set():
                answered.set()

        handlers = [
            (evt.EVT_N_EVENT_REPORT, lambda it: self._hear(it, as_requestor=True)),
            (evt.EVT_DIMSE_SENT, told),
            (evt.EVT_PDU_SENT, sent),
        ]
        association = ae.associate("127.0.0.1", port, ae_title="EDGE", evt_handlers=handlers)
        assert association.is_established
        data = Dataset()
        data.TransactionUID = uid
        data.ReferencedSOPSequence = []
        for sop in sops:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop
            data.ReferencedSOPSequence.append(item)
        answer, _ = association.send_n_action(
            data, 1, StorageCommitmentPushModel, WELL_KNOWN_INSTANCE
        )
        answered.wait(stay)
        association.release()
        return int(answer.Status)

    async def hears(self, count: int) -> list[Heard]:
        """Wait until it heard so many reports."""
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:  # noqa: ASYNC110 - another thread hears them
                await asyncio.sleep(0.02)
        return self.heard


@asynccontextmanager
async def modality(**settings: Any) -> AsyncIterator[Modality]:
    """One that is switched on."""
    one = Modality(**settings)
    await asyncio.to_thread(one.switch_on)
    try:
        yield one
    finally:
        await asyncio.to_thread(one.switch_off)
