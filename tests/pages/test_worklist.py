"""The worklist's page: who may add to it, and what is in it before any script."""

from __future__ import annotations

import pytest

from edge.access.acts import Act
from edge.access.roles import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("role", list(Role))
async def test_who_may_not_bring_anything_in_can_add_nobody(browse, cookies, role):
    text = (await browse("/worklist", cookies[role])).text
    may = role.may(Act.STORE)
    assert ('id="add"' in text) == may
    assert ('id="announce"' in text) == may
    assert ("data-stores" in text) == may


async def test_who_looks_is_known_by_name_for_what_they_announced(browse, cookies):
    text = (await browse("/worklist", cookies[Role.PHYSICIAN])).text
    assert f'data-own="a-{Role.PHYSICIAN}"' in text
