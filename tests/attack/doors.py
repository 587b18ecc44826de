"""Who may what: every door of the box with those whom it lets in, read from the code.

    python -m tests.attack.doors            prints the table
    python -m tests.attack.doors --write    writes it to who_may_what.txt, to be looked through

Routes are those of the application that the port serves, acts those that the guard before it asks
for; services and rights are those of the DICOM listener. The written table is what a person found
right: a door that is new, or opens to others than before, shows as a difference. The tests walk
through every one of them, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from edge import config, others
from edge.access.acts import Act, Service
from edge.access.roles import Role, act_of
from edge.app import Appliance
from edge.dicomweb.middleware import act_for, guarded_by
from edge.dimse.server import DimseServer

TABLE = Path(__file__).with_name("who_may_what.txt")
IMPLIED = {"HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Door:
    """A method of a resource."""

    method: str
    path: str
    """As it stands in the table of routes."""
    service: Service | None
    """None: nobody is asked who they are, but by the page itself if there is an act."""
    act: Act | None

    @property
    def is_page(self) -> bool:
        return self.service is None and self.act is not None

    @property
    def is_open(self) -> bool:
        return self.service is None and self.act is None

    def lets_in(self, role: Role) -> bool:
        return self.act is None or role.may(self.act)


@contextlib.asynccontextmanager
async def box(folder: Path, **sections) -> AsyncIterator[Appliance]:
    """A box of this folder, running on loopback."""
    loaded = config.Config(
        **{
            "appliance": config.Appliance(data_dir=folder / "box"),
            "dimse": config.Dimse(listen="127.0.0.1:0"),
            "http": config.Http(listen="127.0.0.1:0", tls="off"),
            # Whose provider is away: the doors are there all the same.
            "access": config.Access(oidc=others.Oidc(issuer="http://127.0.0.1:1", client_id="x")),
        }
        | sections
    )
    async with Appliance(loaded) as running:
        yield running


def doors(application: web.Application) -> list[Door]:
    """Every door of an application, in order of path and method."""
    return sorted(_doors(application, None), key=lambda door: (door.path, door.method))


def _doors(application: web.Application, service: Service | None) -> Iterator[Door]:
    for middleware in application.middlewares:
        service = guarded_by(middleware) or service
    for resource in application.router.resources():
        if isinstance(resource, web.PrefixedSubAppResource):
            yield from _doors(resource._app, service)
            continue
        for route in resource:
            # Pages of people let in by themselves, and lead others to where one logs in.
            act = act_of(route.handler) if service is None else act_for(route.method, route.handler)
            yield Door(route.method, resource.canonical, service, act)


def rights(server: DimseServer) -> list[tuple[str, str]]:
    """Every DICOM service, and the right that a peer needs for it."""
    found = []
    for service in server.services:
        right = service.right or "any peer"
        if service.right_to_be_sent is not None:
            right += f"; {service.right_to_be_sent} to be sent"
        found.append((service.name, right))
    return sorted(found)


def table(running: Appliance) -> str:
    """All of it, for people."""
    known = [door for door in doors(running.http.application) if door.method not in IMPLIED]
    lines = [
        "Who may what. Written by python -m tests.attack.doors --write, for people to look at.",
        "HEAD and OPTIONS are for whom GET is for.",
        "",
        "HTTP: no guard; those that need a session ask for it themselves",
        "",
        *(f"    {door.method:<7} {door.path}" for door in known if door.is_open),
    ]
    kinds = {"pages": [door for door in known if door.is_page]}
    kinds |= {service: [door for door in known if door.service is service] for service in Service}
    for kind, those in kinds.items():
        lines += ["", f"HTTP: {kind}", "", f"    {' '.join(Role)}"]
        for door in those:
            marks = (f"{'yes' if door.lets_in(role) else '-':<{len(role)}}" for role in Role)
            lines.append(f"    {' '.join(marks)}   {door.method:<7} {door.path}")
    lines += ["", "DICOM: the right that a peer needs", ""]
    lines += [f"    {name:<42} {right}" for name, right in rights(running.dimse)]
    return "\n".join(lines) + "\n"


async def _table() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with box(Path(folder)) as running:
            return table(running)


def main() -> None:
    text = asyncio.run(_table())
    if "--write" in sys.argv[1:]:
        TABLE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
