"""The assistant: prompt, greeting, voice and tuning, their versions, and what the model
is told as it would be now, made by the functions of a call."""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from msgspec import structs
from msgspec.structs import replace

from bridge.agent.crm_tools import crm_tools
from bridge.agent.prompt import build
from bridge.agent.spoken import language_name
from bridge.agent.tools import specifications
from bridge.business.tenant_file import TenantFile
from bridge.console import assistant_fields
from bridge.console.assistant_fields import GROUPS, SHOWN, VOICES
from bridge.console.auditing import audit
from bridge.console.business_edit import Numbers, Refused, edit, fields_of
from bridge.console.business_words import refusal_of
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    OPERATOR,
    OWNER,
    Console,
    MenuItem,
    business_path,
    require,
)
from bridge.console.language import N_, gettext as _
from bridge.console.rendering import render
from bridge.console.version_diff import compare
from bridge.settings.message_options import of_service
from crm import versions
from crm.businesses import Business
from crm.versions import Assistant, Version

MENU = (
    MenuItem(N_("Assistant"), "/console/b/{business}/assistant", (OPERATOR, OWNER)),
)
_PAGE = 30
# More than any prompt of as many tokens as the model takes; the check of a longer one
# would only take its time.
PROMPT_CHARS_MAX = 60_000
_NUMBER_MAX = 2**31 - 1
FIELD_NAMES = {
    "language": N_("Language"),
    "greeting": N_("Greeting"),
    "fallback_sentence": N_("Sentence when the assistant cannot be had"),
    "custom_prompt": N_("Prompt"),
    "required_fields": N_("What must be known before the call ends"),
    "settings.openai_voice": N_("Voice"),
    **{f"settings.{one.name}": one.title for group in GROUPS for one in group.settings},
}


class _Changed(Exception):
    """Somebody else has changed the assistant since the form was opened."""


async def show(request: web.Request) -> web.StreamResponse:
    """Show the form with the assistant as it is."""
    require(request, OWNER, OPERATOR)
    return await _form(request, _fields(request[BUSINESS]), {})


def _fields(business: Business) -> dict[str, str]:
    settings = business.settings
    return {
        "language": business.language,
        "greeting": business.greeting,
        "fallback_sentence": business.fallback_sentence,
        "prompt": business.custom_prompt,
        "required_fields": " ".join(business.required_fields),
        "note": "",
        "seen": _mark(versions.of(business)),
        **{name: assistant_fields.show(settings.get(name)) for name in SHOWN},
    }


async def _form(
    request: web.Request,
    fields: Mapping[str, str],
    faults: dict[str, str],
    status: int = 200,
) -> web.Response:
    business, console = request[BUSINESS], request.config_dict[CONSOLE]
    settings = console.settings
    defaults = {**structs.asdict(settings.call), **structs.asdict(settings.message)}
    return await render(
        request,
        "assistant/assistant.html",
        status=422 if faults and status == 200 else status,
        fields=fields,
        faults=faults,
        groups=GROUPS,
        bounds=assistant_fields.bounds(),
        voices=VOICES,
        names=FIELD_NAMES,
        spoken=language_name(business.language) or business.language,
        defaults={name: assistant_fields.show(defaults[name]) for name in SHOWN},
        others={
            name: assistant_fields.show(value)
            for name, value in business.settings.items()
            if name not in SHOWN
        },
        versions=await versions.listed(console.database, business.id, limit=5),
    )


async def save(request: web.Request) -> web.StreamResponse:
    """Save the assistant as a new version."""
    require(request, OWNER, OPERATOR)
    fields = fields_of(request)
    prompt = request[FORM].get("prompt", "").replace("\r\n", "\n")
    if len(prompt) > PROMPT_CHARS_MAX:
        faults = {"prompt": _("This is too long.")}
        return await _form(request, {**fields, "prompt": prompt}, faults)

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        if _mark(_assistant(file)) != fields.get("seen"):
            raise _Changed
        kept = {
            name: value for name, value in file.settings.items() if name not in SHOWN
        }
        given = {name: fields[name] for name in SHOWN if fields.get(name)}
        new = replace(
            file,
            language=fields.get("language", ""),
            greeting=fields.get("greeting", ""),
            fallback_sentence=fields.get("fallback_sentence", ""),
            prompt=prompt,
            required_fields=_words(fields.get("required_fields", "")),
            settings={**kept, **given},
        )
        return new, numbers

    try:
        await edit(request, change, note=fields.get("note", "")[:200])
    except Refused as refused:
        faults = _faults_of(refused.text)
        return await _form(request, {**fields, "prompt": prompt}, faults)
    except _Changed:
        return await _form(request, *await _changed(request, fields, prompt), 409)
    await audit(request, "assistant.changed")
    raise web.HTTPSeeOther(business_path(request[BUSINESS].id, "assistant"))


async def _changed(
    request: web.Request, fields: dict[str, str], prompt: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form again: saved once more, it replaces what the other has saved."""
    text = _(
        "Somebody else has saved a version meanwhile. Saved once more, "
        "yours replaces it; both stay among the versions."
    )
    now = _mark(versions.of(request[BUSINESS]))
    return {**fields, "prompt": prompt, "seen": now}, {"changed": text}


async def list_versions(request: web.Request) -> web.StreamResponse:
    """Show who changed what, newest first."""
    require(request, OWNER, OPERATOR)
    before = _number(request.query.get("before", ""))
    found = await versions.listed(
        request.config_dict[CONSOLE].database,
        request[BUSINESS].id,
        before=before,
        limit=_PAGE + 1,
    )
    return await render(
        request,
        "assistant/versions.html",
        versions=found[:_PAGE],
        has_more=len(found) > _PAGE,
        is_first=before is None,
        names=FIELD_NAMES,
    )


async def show_comparison(request: web.Request) -> web.StreamResponse:
    """Show two versions side by side."""
    require(request, OWNER, OPERATOR)
    old = await _version(request, request.query.get("old", ""))
    new = await _version(request, request.query.get("new", ""))
    return await render(
        request,
        "assistant/compare.html",
        old=old,
        new=new,
        fields=await asyncio.to_thread(compare, old.contents, new.contents),
        names=FIELD_NAMES,
    )


async def go_back(request: web.Request) -> web.StreamResponse:
    """Make an earlier version the present one, as a new version."""
    require(request, OWNER, OPERATOR)
    version = await _version(request, request[FORM].get("number", ""))
    then = version.contents

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        before = of_service(then.settings)
        settings = {
            name: value for name, value in then.settings.items() if name not in before
        }
        settings |= of_service(file.settings)
        new = replace(
            file,
            language=then.language,
            greeting=then.greeting,
            fallback_sentence=then.fallback_sentence,
            prompt=then.custom_prompt,
            required_fields=then.required_fields,
            settings=settings,
        )
        return new, numbers

    try:
        note = _("as version %(number)s") % {"number": version.number}
        await edit(request, change, note=note)
    except Refused as refused:
        faults = _faults_of(refused.text)
        return await _form(request, _fields(request[BUSINESS]), faults)
    await audit(request, "assistant.went_back", version.number)
    raise web.HTTPSeeOther(business_path(request[BUSINESS].id, "assistant"))


def _faults_of(text: str) -> dict[str, str]:
    """Return what is wrong, field by field, and for the whole form."""
    faults = assistant_fields.faults_of(text)
    titles = [
        _(FIELD_NAMES[name])
        for field in faults
        for name in (field, f"settings.{field}", f"custom_{field}")
        if name in FIELD_NAMES
    ]
    return faults | refusal_of(text, titles)


async def told(request: web.Request) -> web.StreamResponse:
    """Show what the model would be told if an unknown caller rang now."""
    require(request, OWNER, OPERATOR)
    business, console = request[BUSINESS], request.config_dict[CONSOLE]
    prompt = build(business, None, datetime.now(UTC))
    tools = specifications(crm_tools(console.database, business, None))
    return await render(
        request,
        "assistant/told.html",
        instructions=prompt.instructions,
        tools=tools,
    )


async def _version(request: web.Request, text: str) -> Version:
    """Return the version that a text numbers; raise HTTPNotFound if there is none."""
    number = _number(text)
    database = request.config_dict[CONSOLE].database
    found = number and await versions.get(database, request[BUSINESS].id, number)
    if not found:
        raise web.HTTPNotFound
    return found


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < 11
    return int(text) if is_number and int(text) <= _NUMBER_MAX else None


def _assistant(file: TenantFile) -> Assistant:
    return Assistant(
        language=file.language,
        greeting=file.greeting,
        fallback_sentence=file.fallback_sentence,
        custom_prompt=file.prompt,
        required_fields=file.required_fields,
        settings=file.settings,
    )


def _mark(assistant: Assistant) -> str:
    """Return a text that changes with anything of an assistant."""
    plain: Any = msgspec.json.encode(assistant, order="deterministic")
    return hashlib.sha256(plain).hexdigest()[:24]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def add_routes(app: web.Application, console: Console) -> None:
    """Add the pages."""
    root = "/b/{business}/assistant"
    app.router.add_get(root, show)
    app.router.add_post(root, save)
    app.router.add_get(f"{root}/versions", list_versions)
    app.router.add_get(f"{root}/compare", show_comparison)
    app.router.add_post(f"{root}/back", go_back)
    app.router.add_get(f"{root}/told", told)
