"""The table of who may what, written out once more so that a change of it is seen."""

import pytest

from edge.access.roles import Act, Identity, Proof, Role
from edge.errors import AccessDenied

MAY = {
    Role.VIEWER: {Act.READ},
    Role.TECHNOLOGIST: {Act.READ, Act.STORE, Act.DECIDE},
    Role.PHYSICIAN: {Act.READ, Act.STORE, Act.DECIDE},
    Role.ADMIN: {Act.READ, Act.STORE, Act.DECIDE, Act.DELETE, Act.ADMINISTER},
    Role.SERVICE: {Act.READ, Act.STORE},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("act", Act)
def test_a_role_may_what_the_table_says(role, act):
    assert role.may(act) == (act in MAY[role])


def test_who_may_is_let_through():
    Identity("desk", Role.VIEWER).require(Act.READ)


def test_who_may_not_is_told_so_as_someone_known():
    with pytest.raises(AccessDenied, match="desk is viewer and may not store") as caught:
        Identity("desk", Role.VIEWER).require(Act.STORE)
    assert caught.value.known
    assert caught.value.hint == "use a token of a role that may store"


def test_who_logged_in_is_not_told_to_use_a_token():
    with pytest.raises(AccessDenied) as caught:
        Identity("bert", Role.VIEWER, proof=Proof.SESSION).require(Act.ADMINISTER)
    assert caught.value.hint == "an admin gives another role: edge user role NAME ROLE"
