"""A real provider, as Debian brings it: a log-in, asking again, and somebody without a group."""

from __future__ import annotations

import time

import pytest

from edge.access.roles import Role
from edge.errors import AccessDenied
from tests.access.oidc.conftest import BACK, Way
from tests.access.oidc.glewlwyd import CLIENT_ID, CLIENT_SECRET, IS_HERE, Glewlwyd
from tests.access.people import HERE, World
from tests.ports import free_port

pytestmark = pytest.mark.skipif(not IS_HERE, reason="there is no glewlwyd here")


async def again(way):
    """So long that somebody is asked about; they go on working meanwhile."""
    way.clock.now += 360
    used = way.clock.now
    await way.world.database.write(lambda db: db.execute("UPDATE sessions SET used = ?", (used,)))
    await way.vouching.look()


async def test_glewlwyd_lets_somebody_in_and_is_asked_again_until_they_have_no_group(
    tmp_path, database
):
    async with Glewlwyd(tmp_path, free_port(), BACK) as provider:
        world = World(database)
        world.clock.now = time.time()
        said = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        way = Way(provider, world, **said)
        begun = await way.login.begin(BACK)
        back = await provider.log_in(begun.url)
        opened = await way.login.end(back, begun.cookie, HERE)
        session = opened.session
        assert (session.name, session.display_name) == ("oidc:bert", "Bert of the clinic")
        assert session.role is Role.PHYSICIAN
        for _ in range(2):  # with a token that it gives anew each time
            await again(way)
            assert (await world.sessions.verify(opened.secret)).role is Role.PHYSICIAN
        # Whom it disables it goes on vouching for by refresh tokens; their groups are its own.
        await provider.change("bert", groups=[])
        await again(way)
        assert await world.sessions.verify(opened.secret) is None
        begun = await way.login.begin(BACK)
        back = await provider.log_in(begun.url)
        with pytest.raises(AccessDenied, match="no role on this box"):
            await way.login.end(back, begun.cookie, HERE)
