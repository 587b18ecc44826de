"""All UIDs of studies, series, instances and transactions that the index has, wherever they stand.

Which columns those are is read off the schema, by their names, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from edge.index.database import Database

__all__ = ["uids_behind"]

_COLUMNS = """
    SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND c.name LIKE '%\\_uid' ESCAPE '\\' AND c.name NOT LIKE '%class%'
    ORDER BY m.name NOT IN ('studies', 'series', 'instances'), m.name, c.name
"""
_PAGE = 50_000


async def uids_behind(
    database: Database, references: Collection[str], refer: Callable[[str], str]
) -> dict[str, dict[str, str]]:
    """References -> the UIDs behind them -> of what each is: ``study``, ``series``, ``sop``.

    What is known of studies is looked through first, and nothing else if all are there.

    Args:
        database: Of the box.
        references: As they stand in the log.
        refer: UID -> its reference.
    """
    found: dict[str, dict[str, str]] = {one: {} for one in references}

    def look(uids: list[str], kind: str) -> None:
        for uid in uids:
            behind = found.get(refer(uid))
            if behind is not None:
                behind.setdefault(uid, kind)

    for table, column in await database.read(_COLUMNS):
        last = ""
        while not all(found.values()):
            rows = await database.scan(
                f"SELECT DISTINCT {column} FROM {table} WHERE {column} > ?"
                f" ORDER BY {column} LIMIT {_PAGE}",
                (last,),
            )
            uids = [row[0] for row in rows]
            await database.compute(look, uids, column.removesuffix("_uid"))
            if len(uids) < _PAGE:
                break
            last = uids[-1]
    return found
