"""The demo's report: one page with the sound, the picture and the words."""

import base64
from html import escape
from pathlib import Path
from typing import NamedTuple

from bridge.demo_checks import Check
from crm.calls import Turn
from crm.leads import Lead

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222}h1,h2{line-height:1.2}img,audio{width:100%}td,th{text-align:start;
padding:.15rem .8rem .15rem 0;vertical-align:top}.no{color:#b00}.yes{color:#080}
pre{white-space:pre-wrap;background:#f5f5f5;padding:.8rem;font-size:.8rem}
.ai{color:#046}.cut{color:#888}
"""


class Chapter(NamedTuple):
    """One call as the page shows it; files are embedded, so the page stands alone."""

    title: str
    sound: Path
    picture: Path
    turns: list[Turn]
    prompt: str
    lead: Lead | None
    log: list[str]
    checks: list[Check]


def write(path: Path, chapters: list[Chapter]) -> None:
    """Write the page."""
    body = "\n".join(_chapter(chapter) for chapter in chapters)
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Kolbridge demo</title><style>{_STYLE}</style>"
        f"<h1>Kolbridge: two calls at once</h1>{body}</html>\n",
        encoding="utf-8",
    )


def _chapter(chapter: Chapter) -> str:
    return f"""
<h2>{escape(chapter.title)}</h2>
<p>Caller left, AI right.</p>
<audio controls src="{_data(chapter.sound, "audio/wav")}"></audio>
<img alt="timeline of the call" src="{_data(chapter.picture, "image/png")}">
<h3>Checklist</h3><table>{"".join(map(_check, chapter.checks))}</table>
<h3>Transcript</h3><table dir="auto">{"".join(map(_turn, chapter.turns))}</table>
<h3>Lead</h3><p dir="auto">{_lead(chapter.lead)}</p>
<h3>System prompt</h3><pre dir="auto">{escape(chapter.prompt)}</pre>
<h3>Log</h3><pre dir="auto">{escape(chr(10).join(chapter.log))}</pre>"""


def _check(check: Check) -> str:
    mark = '<td class="yes">✓' if check.ok else '<td class="no">✗'
    return f"<tr>{mark}<td>{escape(check.text)}<td>{escape(check.figure)}</tr>"


def _turn(turn: Turn) -> str:
    cut = f' <span class="cut">(cut at {turn.heard_ms} ms)</span>'
    text = escape(turn.text) + (cut if turn.interrupted else "")
    kind = "ai" if turn.role == "ai" else ""
    return f'<tr class="{kind}"><td>{turn.at_s:.1f} s<td>{turn.role}<td>{text}</tr>'


def _lead(lead: Lead | None) -> str:
    if lead is None:
        return "none"
    return escape(f"{lead.name or 'unknown'} · {lead.status} · calls: {lead.calls}")


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
