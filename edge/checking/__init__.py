"""What no single value of the configuration shows: whether they may stand together.

Owns what is refused that a type does not refuse: what can't be meant, and what is unsafe outside a
laboratory. Promises to look at everything before anything listens; reads nothing but the files
that settings name, and only whether those are there. One file for each subject:

- `bounds`: numbers, rules, folders.
- `doors`: where the box listens, and to whom.
- `keys`: where the root secret comes from.
- `others`: those that the box calls.
- `worklists`: where scheduled procedure steps come from.
"""

from __future__ import annotations

from edge.checking.bounds import (
    check_folders,
    check_line,
    check_name,
    check_numbers,
    check_rules,
    check_time_zone,
)
from edge.checking.doors import check_addresses, check_peers
from edge.checking.keys import check_keys
from edge.checking.others import (
    check_archives,
    check_courier,
    check_issuer,
    check_syslog,
    check_update,
)
from edge.checking.whole import Whole
from edge.checking.worklists import check_worklist
from edge.config import Config
from edge.settings import Settings

__all__ = ["check"]


def check(config: Config, settings: Settings) -> None:
    """Look at all of it.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    whole = Whole(config, settings)
    for look in (
        check_numbers,
        check_addresses,
        check_name,
        check_time_zone,
        check_folders,
        check_keys,
        check_issuer,
        check_peers,
        check_archives,
        check_rules,
        check_line,
        check_courier,
        check_worklist,
        check_syslog,
        check_update,
    ):
        look(whole)
