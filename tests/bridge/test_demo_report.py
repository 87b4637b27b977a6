"""The demo's page: it stands alone, and nothing said on the line is taken as HTML."""

import base64

from bridge.demo_checks import Check
from bridge.demo_report import Chapter, write
from crm.calls import Turn
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


def chapter(tmp_path, **changes):
    sound, picture = tmp_path / "call.wav", tmp_path / "timeline.png"
    sound.write_bytes(b"sound")
    picture.write_bytes(b"picture")
    made = Chapter(
        title="Salon <b>",
        sound=sound,
        picture=picture,
        turns=[turn("ai", "Hello & welcome", 640), turn("caller", "<script>")],
        prompt="Be <brief>.",
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
    ):
        assert escaped in text
    assert "<script>" not in text


def test_checks_turns_and_lead_are_shown(tmp_path):
    text = page(tmp_path, chapter(tmp_path))

    assert '<td class="yes">✓<td>heard<td>after 20 ms' in text
    assert '<td class="no">✗<td>lead' in text
    assert '<tr class="ai"><td>1.2 s<td>ai<td>Hello &amp; welcome' in text
    assert text.count("(cut at 640 ms)") == 1
    assert "· new · calls: 1" in text


def test_missing_lead_and_unknown_name_are_told(tmp_path):
    nobody = page(tmp_path, chapter(tmp_path, lead=None))
    unknown = page(tmp_path, chapter(tmp_path, lead=demo_call.lead(None)))

    assert '<p dir="auto">none</p>' in nobody
    assert "unknown · new" in unknown


def test_every_call_is_a_chapter(tmp_path):
    text = page(tmp_path, chapter(tmp_path), chapter(tmp_path, title="Second"))

    assert text.count("<h2>") == 2
    assert "<h2>Second</h2>" in text
