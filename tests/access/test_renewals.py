"""Certificates that are looked after while the service runs."""

import asyncio

import pytest

from edge.access import renewals
from edge.access.renewals import Renewals
from edge.errors import ConfigError


async def test_every_renewal_is_called_though_one_fails_and_that_is_told(monkeypatch):
    monkeypatch.setattr(renewals, "_DAY", 0.0)
    called = []

    def fails():
        called.append("first")
        raise ConfigError("the file is gone")

    both = Renewals()
    assert not both
    both.add(fails)
    both.add(lambda: called.append("second"))
    assert both
    async with asyncio.timeout(10):
        with pytest.raises(ConfigError, match="the file is gone"):
            await both.run()
    assert called == ["first", "second"]
