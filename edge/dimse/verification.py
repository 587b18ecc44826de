"""C-ECHO, the Verification service (PS3.4 A): anyone who may associate may ask for it."""

from __future__ import annotations

from edge.dicom.uids import VERIFICATION
from edge.dimse.messages import CommandField, Status
from edge.dimse.services import Operation, Service

__all__ = ["verification_service"]


def verification_service() -> Service:
    """The service as the registry wants it."""
    return Service(
        name="verification",
        supports=VERIFICATION.__eq__,
        handlers={CommandField.C_ECHO: _echo},
    )


async def _echo(operation: Operation) -> None:
    await operation.respond(Status.SUCCESS)
