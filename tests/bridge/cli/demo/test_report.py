"""The demo's page: it stands alone, and nothing said on the line is taken as HTML."""

import base64
import re

from msgspec import structs

from bridge.cli.demo.checks import Check
from bridge.cli.demo.report import Chapter, write
from bridge.sandbox.clips import clip
from crm.calls import ToolCall, Turn
from tests.bridge import demo_call


def turn(role, text, heard_ms=None):
    return Turn(
        role=role,
        item_id="i",
        text=text,
        interrupted=heard_ms is not None,
        heard_ms=heard_ms,
        at_s=1.25,
    )


def tool(name, arguments):
    return ToolCall(
        tool_call_id="call_1",
        name=name,
        arguments=arguments,
        result='{"booked":1}',
        ok=True,
        duration_ms=7.4,
        at_s=3.25,
    )


def chapter(tmp_path, **changes):
    sound, picture = tmp_path / "call.wav", tmp_path / "timeline.png"
    sound.write_bytes(b"sound")
    picture.write_bytes(b"picture")
    made = Chapter(
        title="Salon <b>",
        language="en",
        time_zone="America/New_York",
        sound=sound,
        picture=picture,
        turns=[turn("ai", "Hello & welcome", 640), turn("caller", "<script>")],
        tools=[tool("calendar_create_appointment", '{"name":"<Dana>"}')],
        prompt=f"Be <brief>.\n{clip('ai-he-goodbye').transcript}",
        lead=demo_call.lead("Dana <Cohen>"),
        log=["[REALTIME] Connected", "rx<tx"],
        checks=[Check("heard", True, "after 20 ms"), Check("lead", False, "no <lead>")],
    )
    return made._replace(**changes)


def page(tmp_path, *chapters):
    path = tmp_path / "report.html"
    write(path, list(chapters))
    return path.read_text(encoding="utf-8")


def test_page_holds_sound_and_picture_themselves(tmp_path):
    text = page(tmp_path, chapter(tmp_path))

    for kind, data in (("audio/wav", b"sound"), ("image/png", b"picture")):
        assert f'src="data:{kind};base64,{base64.b64encode(data).decode()}"' in text
    assert "http" not in text


def test_whatever_was_said_is_text(tmp_path):
    text = page(tmp_path, chapter(tmp_path))

    for escaped in (
        "Salon &lt;b&gt;",
        "&lt;script&gt;",
        "Hello &amp; welcome",
        "Be &lt;brief&gt;.",
        "Dana &lt;Cohen&gt;",
        "rx&lt;tx",
        "no &lt;lead&gt;",
        "{&quot;name&quot;:&quot;&lt;Dana&gt;&quot;}",
    ):
        assert escaped in text
    assert "<script>" not in text


def test_checks_turns_tools_and_lead_are_shown(tmp_path):
    text = page(tmp_path, chapter(tmp_path))

    assert '<td class="key yes">✓<td dir="auto">heard<td dir="auto">after 20 ms' in text
    assert '<td class="key no">✗<td dir="auto">lead' in text
    assert '<td class="key">ai<td dir="auto">Hello &amp; welcome' in text
    assert text.count("(cut at 640 ms)") == 1
    assert ">calendar_create_appointment, 7 ms<" in text
    assert "Tuesday, 2026-12-01 10:00 (America/New_York)" in text
    assert ">booked<" in text


def test_every_text_runs_as_its_own_words_do(tmp_path):
    text = page(tmp_path, chapter(tmp_path))

    goodbye = clip("ai-he-goodbye").transcript
    assert f'<div dir="auto">Be &lt;brief&gt;.</div><div dir="auto">{goodbye}' in text
    for cell in re.findall(r"<td[^>]*>", text):
        assert 'dir="auto"' in cell or 'class="key' in cell
    assert '<meta name="viewport"' in text


def test_missing_lead_unknown_name_and_no_appointment_are_told(tmp_path):
    nobody = page(tmp_path, chapter(tmp_path, lead=None))
    nameless = structs.replace(demo_call.lead(None), next_appointment_at=None)
    unknown = page(tmp_path, chapter(tmp_path, lead=nameless))

    assert '>Lead<td dir="auto">none' in nobody
    assert ">unknown<" in unknown
    assert ">none (America/New_York)<" in unknown


def test_every_call_is_a_chapter(tmp_path):
    text = page(tmp_path, chapter(tmp_path), chapter(tmp_path, title="Second"))

    assert text.count('<h2 dir="auto">') == 2
    assert '<h2 dir="auto">Second</h2>' in text
