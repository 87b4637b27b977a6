"""Renders templates in the language of the request, without holding the event loop.

The loop carries the calls' audio. A page is made in pieces, and the loop has its turn
after each ms. Templates are compiled before the first request.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.dates import format_date, format_datetime, format_skeleton, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context
from markupsafe import Markup

from bridge.console import language
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    CSRF,
    ROOT,
    VIEWER,
    MenuItem,
    business_path,
)
from bridge.console.forms import CSRF_FIELD
from bridge.console.static_files import StaticFiles
from bridge.telemetry.masking import mask_phone

FOLDER = Path(__file__).parent / "templates"
# What stands in a table where there is nothing.
NOTHING = "\N{EN DASH}"
_CENT = 0.01
# Month, day and day of the week, in the order of the language (Unicode TS 35, part 4).
WEEKDAY = "MEd"
# Far below a frame of 20 ms.
HOLD_S = 0.001


class Pages:
    """The compiled templates, with what each of them can name."""

    def __init__(self, static: StaticFiles, menu: tuple[MenuItem, ...]) -> None:
        self._menu = menu
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # The extension adds the methods to its environment at run time.
        self._environment.install_gettext_callables(  # type: ignore[attr-defined]
            language.gettext, language.ngettext, newstyle=True
        )
        self._environment.globals.update(
            root=ROOT, static=static.url, languages=language.LANGUAGES
        )
        self._environment.globals["business_path"] = business_path
        self._environment.globals["csrf_field"] = _csrf_field
        self._environment.filters.update(
            local_time=_local_time,
            clock=_clock,
            local_date=_local_date,
            phone=_phone,
            whole_phone=_whole_phone,
            number=_number,
            money=_money,
            minutes=_minutes,
        )
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)
        # Babel reads a language's data at its first use, which takes tens of ms.
        for name in language.LANGUAGES:
            format_datetime(datetime.now(UTC), "full", locale=name)
            format_currency(1, "USD", locale=name)

    async def render(
        self, request: web.Request, name: str, values: Mapping[str, Any]
    ) -> str:
        """Return a page; the event loop has its turn in between."""
        context = {**self._facts(request), **values}
        pieces, began_at = [], perf_counter()
        for piece in self._environment.get_template(name).generate(context):
            pieces.append(piece)
            if perf_counter() - began_at > HOLD_S:
                await asyncio.sleep(0)
                began_at = perf_counter()
        return "".join(pieces)

    def _facts(self, request: web.Request) -> dict[str, Any]:
        viewer, business = request.get(VIEWER), request.get(BUSINESS)
        return {
            "path": request.path,
            "viewer": viewer,
            "business": business,
            "csrf": request.get(CSRF, ""),
            "language": language.current(),
            "direction": language.direction(),
            "currency": request.config_dict[CONSOLE].settings.openai_prices_currency,
            "menu": [
                (language.gettext(item.title), path, _is_here(path, request.path))
                for item in self._menu
                if viewer is not None and viewer.role in item.roles
                if ("{business}" in item.path) == (business is not None)
                for path in [_path_of(item, business)]
            ],
        }


def _path_of(item: MenuItem, business: Any) -> str:
    return item.path.format(business=business.id) if business else item.path


def _is_here(path: str, current: str) -> bool:
    """Tell whether a line of the menu leads to the page shown, or to one above it."""
    is_start = path.rstrip("/").count("/") in (1, 3) and path.endswith("/")
    return current == path or (not is_start and current.startswith(f"{path}/"))


PAGES = web.AppKey("pages", Pages)


async def render(
    request: web.Request, template: str, /, *, status: int = 200, **values: Any
) -> web.Response:
    """Answer with a page; `values` are what the template names."""
    text = await request.config_dict[PAGES].render(request, template, values)
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        headers={"Cache-Control": "no-store"},
    )


# --- what templates name ---


@pass_context
def _csrf_field(context: Context) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(
        CSRF_FIELD, context["csrf"]
    )


def _zone(context: Context) -> ZoneInfo:
    business = context["business"]
    return ZoneInfo(business.time_zone if business is not None else "UTC")


@pass_context
def _local_time(context: Context, at: datetime | None, form: str = "medium") -> str:
    """Return a time in the business's zone, with its date."""
    if at is None:
        return NOTHING
    return format_datetime(at, form, _zone(context), language.current())


@pass_context
def _clock(context: Context, at: datetime | None) -> str:
    """Return a time of day in the business's zone."""
    if at is None:
        return NOTHING
    return format_time(at, "short", _zone(context), language.current())


@pass_context
def _local_date(context: Context, at: datetime | date, form: str = "full") -> str:
    """Return a date; a time's date is that of the business's zone."""
    day = at.astimezone(_zone(context)).date() if isinstance(at, datetime) else at
    if form == WEEKDAY:
        return format_skeleton(form, day, locale=language.current())
    return format_date(day, form, language.current())


def _phone(number: str | None) -> Markup:
    """Return a number masked, written from left to right in every language."""
    shown = mask_phone(number) if number else NOTHING
    return Markup('<bdi dir="ltr">{}</bdi>').format(shown)


def _whole_phone(number: str) -> Markup:
    """Return a whole number: only where the look at it was written down."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(number)


def _number(value: float) -> str:
    return format_decimal(value, locale=language.current())


@pass_context
def _money(context: Context, amount: float | None) -> str:
    """Return a sum in the currency of the price table; less than a cent is not 0."""
    if amount is None:
        return NOTHING
    is_small = 0 < amount < _CENT
    return format_currency(
        round(amount, 4) if is_small else amount,
        context["currency"],
        locale=language.current(),
        decimal_quantization=not is_small,
    )


def _minutes(seconds: float) -> Markup:
    """Return a duration as minutes and seconds, such as 3:07."""
    whole = round(seconds)
    return Markup('<bdi dir="ltr">{}:{:02}</bdi>').format(whole // 60, whole % 60)
