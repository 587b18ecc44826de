"""People whom the provider vouches for, as admins of the box see them.

Owns what an admin here may do about them: put them out and keep them out, let them in again, forget
them. Their roles are the provider's to give. Works whether the service runs or not, and with the
provider away.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge.access.oidc.meaning import PREFIX
from edge.access.scope import ANYTHING, Scope
from edge.access.user import State
from edge.access.users import check_narrowed
from edge.errors import UserRefused
from edge.index import identities as table
from edge.index.database import Connection, Database
from edge.index.identities import IdentityRow

__all__ = ["Known", "ProviderPeople"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody, as they may be shown to admins."""

    name: str
    display_name: str
    issuer: str
    role: str
    """As the issuer had it last."""
    state: State
    vouched: float | None
    """POSIX seconds: when the issuer said last who they are; None if it does no longer."""
    scope: Scope | None = ANYTHING
    """What is left of the role here; None: another version narrowed it, and nothing is."""


class ProviderPeople:
    """Everybody who logged in by a provider.

    Args:
        database: The index.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def has(name: str) -> bool:
        """Whether it is a name of such people, and of no user."""
        return name.strip().lower().startswith(PREFIX)

    async def list(self) -> tuple[Known, ...]:
        """All of them, by name."""
        return tuple(_known(row) for row in await table.all_identities(self._database))

    async def change(
        self, name: str, *, disabled: bool | None = None, scope: Scope | None = None
    ) -> Known:
        """Change somebody, in one step; what is None stays.

        Args:
            name: Theirs here.
            disabled: Put them out and keep them out, or let them in again; they are out either way.
            scope: So much is left of the role that the provider gives them.

        Raises:
            UserRefused: There is nobody of that name, or nothing would be left of their role.
        """
        name = name.strip().lower()
        if scope is not None and (known := await table.named(self._database, name)) is not None:
            check_narrowed(name, known.role, scope)

        def write(db: Connection) -> None:
            if scope is not None and not table.set_scope(db, name, scope.write()):
                raise _nobody()
            if disabled is not None:
                state = State.DISABLED if disabled else State.ACTIVE
                if not table.set_state(db, name, state):
                    raise _nobody()

        await self._database.write(write)
        if (row := await table.named(self._database, name)) is None:
            raise _nobody()
        if scope is not None:
            log.info("users: %s is %snarrowed", name, "not " if scope == ANYTHING else "")
        if disabled is not None:
            log.info("users: %s is %s", name, "disabled" if disabled else "enabled")
        return _known(row)

    async def remove(self, name: str) -> bool:
        """Forget somebody, until they log in again; False if there is nobody of that name."""
        name = name.strip().lower()
        removed = await self._database.write(lambda db: table.remove(db, name))
        if removed:
            log.info("users: %s is removed", name)
        return removed


def _known(row: IdentityRow) -> Known:
    return Known(
        row.name,
        row.display_name,
        row.issuer,
        row.role,
        State(row.state),
        row.vouched or None,
        Scope.read(row.scope),
    )


def _nobody() -> UserRefused:
    return UserRefused(
        "nobody of that name logged in by the identity provider",
        hint="edge user sessions names who is in",
    )
