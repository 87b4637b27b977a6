"""The tables, read from the database, so that a new table is never forgotten."""

from graphlib import TopologicalSorter
from typing import Any

import msgspec

_TABLES = """
select c.relname as name,
  array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0
    and not attisdropped and attgenerated = '' order by attnum) as columns,
  array(select distinct r.relname::text from pg_constraint k
    join pg_class r on r.oid = k.confrelid
    where k.conrelid = c.oid and k.contype = 'f' and r.oid <> c.oid) as needs
from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'r'
  and relname <> 'schema_migrations' order by relname"""


class Table(msgspec.Struct, frozen=True):
    """A table's columns, and the number of its rows that are meant."""

    name: str
    columns: tuple[str, ...]
    rows: int = 0

    @property
    def tenant_column(self) -> str | None:
        """The column that names a row's tenant; None where rows have no tenant."""
        if self.name == "businesses":
            return "id"
        return "business_id" if "business_id" in self.columns else None


async def tables(connection: Any) -> list[Table]:
    """Return every table; a table comes after the tables that it refers to."""
    rows = {row["name"]: row for row in await connection.fetch(_TABLES)}
    order = TopologicalSorter({name: row["needs"] for name, row in rows.items()})
    return [Table(name, tuple(rows[name]["columns"])) for name in order.static_order()]
