"""An index that tells how it finds what it is asked for."""

from __future__ import annotations


class Plans:
    """Stands for a database; keeps the steps of SQLite's plan for each question."""

    def __init__(self, database):
        self.database, self.steps = database, []

    async def read(self, sql, parameters=()):
        await self._explain(sql, parameters)
        return await self.database.read(sql, parameters)

    async def scan(self, sql, parameters=()):
        await self._explain(sql, parameters)
        return await self.database.scan(sql, parameters)

    async def _explain(self, sql, parameters):
        rows = await self.database.scan(f"EXPLAIN QUERY PLAN {sql}", parameters)
        self.steps += [row[-1] for row in rows]
