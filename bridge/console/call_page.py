"""A call: what was said and done in it, how it sounded, and why things were decided."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from bridge.agent.prompt import Prompt
from bridge.console.auditing import audit
from bridge.console.call_words import outcome_words, role_words
from bridge.console.console import BUSINESS, CONSOLE, OPERATOR, OWNER, Console, require
from bridge.console.file_answer import FileAnswer, send_pieces
from bridge.console.rendering import render
from bridge.recorder.far import CallId, FarError
from bridge.recorder.timeline_process import SOUND_FILE, TIMELINE_FILE
from bridge.recorder.timelines import NotRecorded, TimelineError, Timelines
from crm import call_shares, calls

TIMELINES = web.AppKey("timelines", Timelines)
# The record of a call that has just ended is written when its last words have come.
FRESH_LOOKS = 8
FRESH_LOOK_S = 0.5
_PRIVATE = {"Cache-Control": "private, no-store"}


async def show(request: web.Request) -> web.StreamResponse:
    """Show a call with its caller's number masked."""
    await audit(request, "call.seen", request.match_info["call_sid"])
    return await page(request)


async def show_phone(request: web.Request) -> web.StreamResponse:
    """Show the whole number; the look is written down."""
    await row_of(request)
    await audit(request, "call.phone_seen", request.match_info["call_sid"])
    return await page(request, is_phone_shown=True)


async def page(
    request: web.Request,
    *,
    is_phone_shown: bool = False,
    faults: Mapping[str, str] | None = None,
    shared_url: str = "",
) -> web.Response:
    """Return the page of a call, with what has just been done on it."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    row = await row_of(request)
    call_sid = row["call_sid"]
    turns = await calls.turns(database, business.id, call_sid)
    tools = await calls.tools(database, business.id, call_sid)
    timelines = request.config_dict[TIMELINES]
    files = await timelines.files(id_of(row))
    return await render(
        request,
        "call/call.html",
        status=422 if faults else 200,
        faults=faults or {},
        shared_url=shared_url,
        shares=await call_shares.listed(database, business.id, call_sid),
        call=row,
        is_phone_shown=is_phone_shown,
        said=calls.in_order(turns, tools),
        role_words=role_words,
        outcome_words=outcome_words,
        seconds=(row["ended_at"] - row["started_at"]).total_seconds(),
        answers=figures(row["answer_ms"]),
        barge_ins=figures(row["barge_in_ms"]),
        prompt=Prompt(row["prompt"], row["prompt_facts"]).instructions,
        files=files.parts,
        is_whole=files.is_whole,
        is_recording=timelines.is_recording,
    )


async def row_of(request: web.Request) -> Any:
    """Return the record of the path's call; raise HTTPNotFound if there is none."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    looks = FRESH_LOOKS if "fresh" in request.query else 1
    for look in range(looks):
        if look:
            await asyncio.sleep(FRESH_LOOK_S)
        sid = request.match_info["call_sid"]
        row = await calls.find(database, business.id, sid)
        if row is not None:
            return row
    raise web.HTTPNotFound


def id_of(row: Any) -> CallId:
    """Return what finds the recording of a call's record."""
    return CallId(row["call_sid"], row["business_id"], tuple(row["nodes"]))


def figures(latencies_ms: Sequence[float]) -> tuple[float, float] | None:
    """Return the middle and the largest of some latencies; None if there are none."""
    if not latencies_ms:
        return None
    ordered = sorted(latencies_ms)
    return ordered[len(ordered) // 2], ordered[-1]


# --- the recording ---


async def timeline(request: web.Request) -> web.StreamResponse:
    """Send the call's timeline; a recording that is gone, or too long, says so."""
    row = await row_of(request)
    try:
        place = await _timelines(request).folder(id_of(row))
    except NotRecorded:
        raise web.HTTPNotFound from None
    except TimelineError as error:
        return web.json_response({"why": str(error)}, status=409)
    return _file(place / TIMELINE_FILE)


async def sound(request: web.Request) -> web.StreamResponse:
    """Send the sound of both sides, or a range of it."""
    row = await row_of(request)
    answer = await sound_of(request, id_of(row))
    if is_beginning(request):
        await audit(request, "call.heard", row["call_sid"])
    return answer


async def sound_of(request: web.Request, call: CallId) -> FileAnswer:
    """Return the sound of a call that the request may hear; raises HTTPNotFound."""
    try:
        place = await _timelines(request).folder(call)
    except TimelineError:
        raise web.HTTPNotFound from None
    if not (place / SOUND_FILE).exists():
        raise web.HTTPNotFound
    return _file(place / SOUND_FILE)


def is_beginning(request: web.Request) -> bool:
    """Tell whether a request is for a file's beginning: players ask for many ranges."""
    return request.headers.get("Range", "bytes=0-").startswith("bytes=0-")


async def download(request: web.Request) -> web.StreamResponse:
    """Send one part of the recording as it is on disk."""
    require(request, OPERATOR, OWNER)
    call, name = id_of(await row_of(request)), request.match_info["name"]
    timelines = _timelines(request)
    files = await timelines.files(call)
    part = next((one for one in files.parts if one.name == name), None)
    if part is None:
        raise web.HTTPNotFound
    await audit(request, "call.downloaded", call.call_sid)
    saved = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(part, Path):
        return _file(part, saved)
    pieces, size = timelines.far_pieces(call, part), part.size_bytes
    try:
        return await send_pieces(request, pieces, size, {**_PRIVATE, **saved})
    except FarError:
        raise web.HTTPBadGateway from None


def _file(path: Path, headers: Mapping[str, str] | None = None) -> FileAnswer:
    return FileAnswer(path, headers={**_PRIVATE, **(headers or {})})


def _timelines(request: web.Request) -> Timelines:
    return request.config_dict[TIMELINES]


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page of a call and its recording."""
    app[TIMELINES] = timelines_of(console)
    page = "/b/{business}/calls/{call_sid:[A-Za-z0-9]+}"
    app.router.add_get(page, show)
    app.router.add_get(f"{page}/phone", show_phone)
    app.router.add_get(f"{page}/timeline", timeline)
    app.router.add_get(f"{page}/call.wav", sound)
    app.router.add_get(page + "/{name:[A-Za-z0-9.]+[.]zip}", download)


def timelines_of(console: Console) -> Timelines:
    """Return what reads the service's recordings."""
    settings = console.settings
    folder = None if settings.record_dir is None else Path(settings.record_dir)
    return Timelines(folder, Path(settings.kolbridge_home), console.recordings)
