"""Refused records: `kolbridge calls` lists them and tries to write them again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from uuid import UUID

import asyncpg
import msgspec

from bridge.records.refused import ERROR_CHARS_MAX, Refused, RefusedRecords, read
from bridge.telemetry.log import clean
from crm import calls
from crm.database import Database
from crm.transient import is_about_the_row


def listed(
    records: RefusedRecords, names: Mapping[UUID, str], *, is_json: bool
) -> Iterator[str]:
    """Return a line for each refused record, oldest first."""
    for line in records.lines():
        one = read(line)
        if one is None:
            text = clean(line.decode("utf-8", "replace"))[:ERROR_CHARS_MAX]
            yield (
                msgspec.json.encode({"unreadable": text}).decode()
                if is_json
                else (f"no call record: {text!r}")
            )
        elif is_json:
            yield line.decode()
        else:
            yield _line(one, names)


async def retry(records: RefusedRecords, db: Database) -> str:
    """Write refused records again, each once; return a summary.

    A record that is refused again stays. Raises if the database is unreachable; the
    records written by then are removed all the same.
    """
    settled: dict[bytes, bytes | None] = {}
    outcomes: Counter[str] = Counter()
    try:
        for line in records.lines():
            outcome, settled[line] = await _write(line, db)
            outcomes[outcome] += 1
    finally:
        records.settle(settled)
    return (
        f"{outcomes['written']} written, {outcomes['known']} in the database already, "
        f"{outcomes['refused']} refused again"
    )


async def _write(line: bytes, db: Database) -> tuple[str, bytes | None]:
    """Return the outcome of a line, and what is left of it."""
    one = read(line)
    if one is None:
        return "refused", line
    try:
        is_new = await calls.save(db, one.business_id, one.call, lead_due=one.lead_due)
    except asyncpg.PostgresError as error:
        if not is_about_the_row(error):
            raise
        refusal = f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
        again = msgspec.structs.replace(one, refusal=refusal)
        return "refused", msgspec.json.encode(again)
    return "written" if is_new else "known", None


def _line(one: Refused, names: Mapping[UUID, str]) -> str:
    when = "-" if one.refused_at is None else f"{one.refused_at:%Y-%m-%d %H:%M:%S}Z"
    return (
        f"{when}  {one.call.call_sid}  {names.get(one.business_id, one.business_id)}  "
        f"call of {one.call.started_at:%Y-%m-%d %H:%M:%S}Z  {one.refusal or '-'}"
    )
