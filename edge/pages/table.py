"""Every page there is, in the order of the navigation.

Routes, navigation, role tests, screenshots and the catalogue's check all read this table.
"""

from __future__ import annotations

from typing import Final

from edge.pages import (
    acceptance,
    account,
    audit,
    backup,
    emergency,
    help,  # noqa: A004 - a page is called so
    link,
    logs,
    now,
    peers,
    people,
    settings,
    setup,
    studies,
    study,
    sync,
    tokens,
    update,
    welcome,
    worklist,
)
from edge.pages.page import Page

__all__ = ["NOW", "PAGES", "WELCOME"]

NOW: Final = now.PAGE
WELCOME: Final = welcome.PAGE
PAGES: Final[tuple[Page, ...]] = (
    NOW,
    studies.PAGE,
    worklist.PAGE,
    sync.PAGE,
    peers.PAGE,
    people.PAGE,
    tokens.PAGE,
    audit.PAGE,
    settings.PAGE,
    logs.PAGE,
    backup.PAGE,
    update.PAGE,
    help.PAGE,
    study.PAGE,
    account.PAGE,
    WELCOME,
    link.PAGE,
    emergency.PAGE,
    setup.PAGE,
    acceptance.PAGE,
)
