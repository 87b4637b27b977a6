"""Searches a business's calls: by words of the transcript, outcome, day and number.

Words are found as they were said, without stemming: PostgreSQL's `simple`
configuration. A word also finds what begins with it. A Hebrew or Arabic word is found
behind the particles that are written together with it, too.

Row-level security keeps the operator @@ from using an index, because the operator is
not leakproof. `app.calls_with_words` uses it, for the transaction's business alone. A
word of many calls is looked for from the newest call back instead, until the page of
the list is full.
"""

import re
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.database import Database
from crm.leads import PERSON

# A longer text costs a lexeme each, and a vector has a limit of 1 MB.
WORDS_CHARS_MAX = 100_000
_WORDS_MAX = 8
# With more calls a list of them costs more than reading from the newest call back.
HITS_MAX = 2_000
_EXPORT_PAGE = 500
_HEBREW = re.compile("[\u05d0-\u05ea]")
_ARABIC = re.compile("[\u0621-\u064a]")
# And, the, in, to, from, that, as; and the article of Arabic with what precedes it.
_BEFORE_HEBREW = ("", *"והבלמשכ", "וה", "שה")
_BEFORE_ARABIC = ("", "ال", "وال", "بال", "لل", "و", "ب", "ل")


class Place(msgspec.Struct, frozen=True):
    """Where a page of the list ends: the next page begins after it."""

    started_at: datetime
    call_sid: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for; every part may be left out."""

    words: str = ""
    outcome: str = ""
    number: str = ""
    first_day: date | None = None
    last_day: date | None = None
    lead_id: UUID | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the list."""

    call_sid: str
    started_at: datetime
    from_number: str
    lead_id: UUID | None
    name: str | None
    outcome: str
    end_reason: str
    failed: bool
    seconds: float
    cost: float | None
    is_test: bool

    @property
    def place(self) -> Place:
        """This call's place in the list."""
        return Place(self.started_at, self.call_sid)


_QUERY = """
select c.call_sid, c.started_at, c.from_number, c.lead_id, l.name, c.outcome,
  c.end_reason, c.failed, c.cost, c.is_test,
  extract(epoch from c.ended_at - c.started_at)::float8 as seconds
from calls c
join businesses b on b.id = c.business_id
left join leads l on l.business_id = c.business_id and l.id = c.lead_id
where c.business_id = $1
  and ($2::date is null or c.started_at >= $2::date::timestamp at time zone b.time_zone)
  and ($3::date is null
    or c.started_at < ($3::date + 1)::timestamp at time zone b.time_zone)
  and ($4 = '' or c.outcome = $4)
  and ($5 = '' or regexp_replace(c.from_number, '[^0-9]', '', 'g') like '%' || $5)
  and ($6::uuid[] is null or c.lead_id = any ($6))
  and ($7 = '' or exists (select from call_words w where w.business_id = $1
    and w.call_sid = c.call_sid and w.words @@ to_tsquery('simple', $7)))
  and ($11::text[] is null or c.call_sid = any ($11))
  and ($8::timestamptz is null or (c.started_at, c.call_sid) < ($8, $9))
order by c.started_at desc, c.call_sid desc limit $10
"""


async def search(
    db: Database,
    business_id: UUID,
    wish: Wish,
    limit: int = 50,
    before: Place | None = None,
) -> list[Found]:
    """Return the calls that fit a wish, newest first, from a place of the list on."""
    query = query_of(wish.words)
    if wish.words.strip() and not query:
        # Signs alone: no call has them as a word.
        return []
    async with db.tenant(business_id) as connection:
        # A plan for any wish reads every word; compiling costs more than the search.
        await connection.execute(
            "set local plan_cache_mode = force_custom_plan; set local jit = off"
        )
        hits = await _hits(connection, query) if query else None
        if hits is not None:
            query = ""
        person = None
        if wish.lead_id is not None:
            found = await connection.fetch(PERSON, business_id, wish.lead_id)
            person = [row["id"] for row in found]
        rows = await connection.fetch(
            _QUERY,
            business_id,
            wish.first_day,
            wish.last_day,
            wish.outcome,
            # A number as people write it, with or without its country.
            re.sub("[^0-9]", "", wish.number).lstrip("0"),
            person,
            query,
            before.started_at if before else None,
            before.call_sid if before else None,
            limit,
            hits,
        )
    return [Found(**dict(row)) for row in rows]


async def _hits(connection: Any, query: str) -> list[str] | None:
    """Return the calls with the words; None if there are more than HITS_MAX."""
    rows = await connection.fetch(
        "select app.calls_with_words($1, $2)", query, HITS_MAX + 1
    )
    if len(rows) <= HITS_MAX:
        return [row[0] for row in rows]
    # The newest calls first, each with a look at its own words: planned by itself, it
    # would sort all of them.
    await connection.execute(
        "set local enable_hashjoin = off; set local enable_mergejoin = off; "
        "set local enable_sort = off; set local enable_seqscan = off"
    )
    return None


async def every(
    db: Database, business_id: UUID, wish: Wish, most: int
) -> AsyncIterator[Found]:
    """Yield all calls that fit, up to `most`; a transaction for some hundred each."""
    before, left = None, most
    while left > 0:
        rows = await search(db, business_id, wish, min(_EXPORT_PAGE, left), before)
        for row in rows:
            yield row
        if len(rows) < _EXPORT_PAGE:
            return
        before, left = rows[-1].place, left - len(rows)


def query_of(text: str) -> str:
    """Return the tsquery of what a person types: all words, each as a beginning."""
    return " & ".join(map(_any_form, words_of(text)))


def words_of(text: str) -> list[str]:
    """Return the words that are searched for: what fits has each of them in it."""
    return re.findall(r"\w+", text.lower())[:_WORDS_MAX]


def begins(word: str) -> str:
    """Return a regular expression of PostgreSQL that fits every text with a word that
    begins so, and few others: it costs a tenth of reading all the text's words."""
    # A domain that letters of another script follow ends before them.
    ends = "[^[:alpha:]]" if word[0].isascii() else "[a-z]|[^[:alpha:]]"
    return f"(^|{ends})({'|'.join(_before(word))}){word}"


def _any_form(word: str) -> str:
    forms = " | ".join(f"'{prefix}{word}':*" for prefix in _before(word))
    return f"({forms})"


def _before(word: str) -> tuple[str, ...]:
    if _HEBREW.search(word):
        return _BEFORE_HEBREW
    return _BEFORE_ARABIC if _ARABIC.search(word) else ("",)
