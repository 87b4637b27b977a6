"""The demo's report: one page with the sound, the picture and the words."""

import base64
from html import escape
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bridge.cli.demo.checks import Check
from crm.calls import ToolCall, Turn
from crm.leads import Lead

# For both languages, on wide and narrow screens: a cell's text follows the direction of
# its own words.
_STYLE = """
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;
color:#222}h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem}
audio{width:100%}img{width:100%;min-width:40rem}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
td{text-align:start;padding:.25rem .5rem;vertical-align:top;overflow-wrap:anywhere;
border-bottom:1px solid #eee}td.key{white-space:nowrap;width:1%;overflow-wrap:normal}
.no{color:#b00}.yes{color:#080}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;padding:.8rem;
font-size:.8rem}.ai{color:#046}.cut{color:#666}
"""


class Chapter(NamedTuple):
    """One call as the page shows it; files are embedded, so the page needs no other."""

    title: str
    language: str
    time_zone: str
    sound: Path
    picture: Path
    turns: list[Turn]
    tools: list[ToolCall]
    prompt: str
    lead: Lead | None
    log: list[str]
    checks: list[Check]


def write(path: Path, chapters: list[Chapter]) -> None:
    """Write the page."""
    body = "\n".join(_chapter(chapter) for chapter in chapters)
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Kolbridge demo</title><style>{_STYLE}</style>"
        f"<h1>Kolbridge: two calls at once</h1>{body}</html>\n",
        encoding="utf-8",
    )


def _chapter(chapter: Chapter) -> str:
    return f"""
<h2 dir="auto">{escape(chapter.title)}</h2>
<p>Caller left, AI right.</p>
<audio controls src="{_data(chapter.sound, "audio/wav")}"></audio>
<div class="wide">
<img alt="timeline of the call" src="{_data(chapter.picture, "image/png")}"></div>
<h3>Checklist</h3><table>{"".join(map(_check, chapter.checks))}</table>
<h3>Appointment and lead</h3><table>{_lead(chapter)}</table>
<h3>Transcript</h3>
<table lang="{chapter.language}">{"".join(map(_turn, chapter.turns))}</table>
<h3>Tools</h3><table>{"".join(map(_tool, chapter.tools))}</table>
<h3>System prompt</h3>{_text(chapter.prompt)}
<h3>Log</h3>{_text(chr(10).join(chapter.log))}"""


def _row(*cells: str, kind: str = "") -> str:
    """Return a row of text whose cells are narrow, except for the last."""
    *keys, last = cells
    narrow = "".join(f'<td class="key" dir="auto">{escape(one)}' for one in keys)
    return f'<tr class="{kind}">{narrow}<td dir="auto">{escape(last)}</tr>'


def _check(check: Check) -> str:
    mark = '<td class="key yes">✓' if check.ok else '<td class="key no">✗'
    cells = (f'<td dir="auto">{escape(one)}' for one in (check.text, check.figure))
    return f"<tr>{mark}{''.join(cells)}</tr>"


def _turn(turn: Turn) -> str:
    cut = f' <span class="cut">(cut at {turn.heard_ms} ms)</span>'
    text = escape(turn.text) + (cut if turn.interrupted else "")
    kind = "ai" if turn.role == "ai" else ""
    return (
        f'<tr class="{kind}"><td class="key">{turn.at_s:.1f} s'
        f'<td class="key">{turn.role}<td dir="auto">{text}</tr>'
    )


def _tool(tool: ToolCall) -> str:
    took = f"{tool.at_s:.1f} s", f"{tool.name}, {tool.duration_ms:.0f} ms"
    return _row(*took, f"{tool.arguments} → {tool.result}")


def _lead(chapter: Chapter) -> str:
    lead = chapter.lead
    if lead is None:
        return _row("Lead", "none")
    at = lead.next_appointment_at
    zone = ZoneInfo(chapter.time_zone)
    booked = f"{at.astimezone(zone):%A, %Y-%m-%d %H:%M}" if at is not None else "none"
    return "".join(
        [
            _row("Appointment", f"{booked} ({chapter.time_zone})"),
            _row("Name", lead.name or "unknown"),
            _row("Status", lead.status),
            _row("Calls", str(lead.calls)),
        ]
    )


def _text(text: str) -> str:
    """Return the lines unchanged, each in the direction of its own words."""
    lines = (
        f'<div dir="auto">{escape(line) or "&nbsp;"}</div>'
        for line in text.splitlines()
    )
    return f"<pre>{''.join(lines)}</pre>"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
