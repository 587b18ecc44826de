"""The tree that the docstring draws is the tree that is there."""

from __future__ import annotations

import re

from edge import errors


def drawn():
    """(class, parent) of each line of the picture."""
    parents = ["EdgeError"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = 1 + len(match.group(1)) // 4
            parents[depth:] = [match.group(2)]
            yield match.group(2), parents[depth - 1]


def test_every_error_is_drawn_where_it_belongs():
    picture = dict(drawn())
    actual = {
        name: getattr(errors, name).__bases__[0].__name__
        for name in errors.__all__
        if name != "EdgeError" and issubclass(getattr(errors, name), Exception)
    }
    assert picture == actual


def test_every_error_says_what_to_do_if_it_can():
    error = errors.CloudUnreachable("no answer", hint="check the cable", retry_after=3.0)
    assert (str(error), error.hint, error.retry_after) == ("no answer", "check the cable", 3.0)
    assert errors.CloudRefused("no", status=409).status == 409
    assert not errors.AccessDenied("who?").known
