"""docs/where-is.md: what it names exists, and what it says of it is true."""

import ast
import asyncio
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from bridge.agent.crm_tools import crm_tools
from bridge.agent.tools import Answer, Tool, ToolRunner, specifications
from bridge.call import (
    goodbye,
    machine,
    session_config,
    session_rollover,
    timeouts,
)
from bridge.call.barge_in import BargeIn, Verdict
from bridge.call.plan import HangUp, Leg, OpenModel, RunTool
from bridge.call.timers import Timer
from bridge.line.legs import OpenAILeg
from bridge.realtime import openai, openai_events
from bridge.records.refused import REFUSED, RefusedRecords
from bridge.records.writer import RecordWriter
from bridge.settings import options, process
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from tests.bridge.builders import answered_call, clip, fire, of, speak, talking_ai

from .page import ROOT, page, section
from .test_tools_page import SALON

PAGE = page("where-is.md")
NAMED = sorted(set(re.findall(r"`([\w./]+\.(?:py|pyx|pxd)):([\w.]+)`", PAGE)))
FILES = sorted(set(re.findall(r"`([a-z][\w./]*/[\w.]*|setup\.py)`", PAGE)))
# The other ends of the sockets: they are no part of the bridge.
OUTSIDE = {"sandbox", "capacity"}
BRIDGE = [
    path for path in (ROOT / "bridge").rglob("*.py") if not OUTSIDE & {*path.parts}
]
VOICE = clip("human-en-reader-1")[35:75]
QUESTIONS = (
    "Where is the grace of barge-in?",
    "What happens when the model's socket closes?",
    "Who writes to Twilio's socket?",
    "Where do I add a tool?",
    "Where do I add a setting per business?",
    "How do I connect another model vendor?",
    "How do I connect another carrier?",
    "What prompts a silent caller?",
    "What happens when a call's process dies?",
    "Where is a WhatsApp message answered?",
    "Where are refused records?",
    "Where do I add a page of the console?",
    "How do I rebuild and test?",
)


def is_in_compiled(path, symbol):
    return re.search(
        rf"^(cdef class|cdef struct|class|cp?def|def)\s+(.*\b)?{symbol}\b",
        path.read_text(),
        re.MULTILINE,
    )


def is_in_python(path, symbol):
    nodes = ast.parse(path.read_text()).body
    for part in symbol.split("."):
        found = next((node for node in nodes if part in names_of(node)), None)
        if found is None:
            return False
        nodes = getattr(found, "body", [])
    return True


def names_of(node):
    """Return what a statement gives a name to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {one.id for one in targets if isinstance(one, ast.Name)}


def text_of(question):
    return section(PAGE, f"## {question}")


def words_in(paths, word):
    return {str(path.relative_to(ROOT)) for path in paths if word in path.read_text()}


# --- the page itself ---


def test_it_has_the_thirteen_questions_and_is_read_in_five_minutes():
    assert tuple(re.findall(r"^## (.*)$", PAGE, re.MULTILINE)) == QUESTIONS
    # 200 words a minute, in a language that may not be the reader's own.
    assert len(PAGE.split()) < 1_000


@pytest.mark.parametrize("question", QUESTIONS[:-1])
def test_each_answer_names_a_symbol(question):
    assert re.search(r"`[\w./]+\.pyx?:\w", text_of(question))


@pytest.mark.parametrize(("path", "symbol"), NAMED, ids=map(":".join, NAMED))
def test_a_named_symbol_exists(path, symbol):
    is_in = is_in_python if path.endswith(".py") else is_in_compiled
    assert (ROOT / path).exists(), path
    assert is_in(ROOT / path, symbol), f"{path} has no {symbol}"


@pytest.mark.parametrize("path", FILES)
def test_a_named_file_exists(path):
    assert (ROOT / path).exists()


def test_a_symbol_that_is_not_there_is_found_missing():
    assert is_in_python(Path(__file__), "names_of")
    assert not is_in_python(Path(__file__), "names_of.inner")
    assert not is_in_python(ROOT / "setup.py", "nothing")
    assert not is_in_compiled(ROOT / "bridge/wire/audio.pyx", "nothing")


# --- one for each question ---


def interrupted(**given):
    """Let the caller speak over an AI that has just begun."""
    call = talking_ai(barge_in_cooldown_ms=0, **given)
    actions, _ = speak(call, VOICE, 10.0)
    return bool(of(twilio.Clear, actions))


def test_the_grace_is_where_it_says(monkeypatch):
    assert interrupted(barge_in_grace_ms=0)
    assert not interrupted(barge_in_grace_ms=1_500)

    monkeypatch.setattr(BargeIn, "weigh", lambda *args: Verdict.NOTHING)
    assert not interrupted(barge_in_grace_ms=0)


def test_the_loss_of_the_models_socket_goes_the_way_it_says(monkeypatch):
    call = answered_call()
    told = []

    class Owner:
        is_over = False
        logs_events = False

        def receive(self, method, *what):
            told.extend(method(*what, 1.0))

    owner = Owner()
    owner.call = call
    OpenAILeg(owner, Metrics()).lose("1006")
    assert of(OpenModel, told) == [OpenModel("1006")]

    lost = []
    monkeypatch.setattr(session_rollover, "on_lost", lambda call, why: lost.append(why))
    call.receive_disconnect(Leg.OPENAI, "1006", 2.0)
    assert lost == ["1006"]


def test_only_the_carriers_leg_writes_to_its_socket():
    # The two ways to make bytes of a message, and the ways to hand bytes to a socket.
    assert words_in(BRIDGE, "twilio.encode_into") == {"bridge/line/legs.py"}
    assert words_in(BRIDGE, "import media_onto") == {"bridge/line/legs.py"}
    assert words_in(BRIDGE, "transport.send(") == {"bridge/line/websocket.py"}


class Weigh(msgspec.Struct, frozen=True):
    """Arguments of a tool that does not exist."""

    grams: int


def test_a_tool_in_the_registry_is_told_to_the_model_and_runs():
    async def weigh(asked, _):
        return Answer({"heavy": asked.grams > 1_000})

    tools = crm_tools(None, SALON, None) | {"weigh": Tool(Weigh, "Weighs.", weigh)}
    told = {one.name: one.parameters for one in specifications(tools)}
    runner = ToolRunner(
        tools, deadline_ms=1_000, log=CallLogger("CA1"), metrics=Metrics()
    )
    result = asyncio.run(runner.run(RunTool("t1", "weigh", '{"grams":2000}')))

    assert told["weigh"]["properties"] == {"grams": {"type": "integer"}}
    assert result.output == '{"heavy":true}'


def test_a_setting_needs_one_line(monkeypatch):
    source = Path(options.__file__).read_text()
    line = "    openai_model: Name"
    assert source.count(line) == 1
    changed = ModuleType("changed")
    toy = "    toy_ms: Annotated[int, _ms(0, 10)] = 1\n"
    exec(source.replace(line, toy + line), changed.__dict__)

    made = changed.merge(changed.CallOptions(), {"TOY_MS": "7"})
    assert made.toy_ms == 7
    with pytest.raises(changed.OptionError, match=r"TOY_MS='11': .* from 0 to 10"):
        changed.merge(made, {"TOY_MS": "11"})

    # The process reads the environment by this one function.
    monkeypatch.setattr(process, "from_variables", changed.from_variables)
    assert process._read_options(changed.CallOptions(), {"TOY_MS": "5"}, []).toy_ms == 5


def tags_of(module):
    kinds = [one for one in vars(module).values() if isinstance(one, type)]
    structs = [one for one in kinds if issubclass(one, msgspec.Struct)]
    tags = {one.__struct_config__.tag for one in structs}
    return {tag for tag in tags if isinstance(tag, str) and "." in tag}


def test_the_models_event_names_stand_on_its_wire_alone():
    tags = tags_of(openai) | tags_of(openai_events)
    # A recording is read for people, and the demo's sandbox speaks the vendor's words.
    readers = ("realtime", "recorder", "cli")
    found = {
        (str(path.relative_to(ROOT)), node.value)
        for path in BRIDGE
        if path.relative_to(ROOT / "bridge").parts[0] not in readers
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in tags
    }

    assert len(tags) > 20
    assert not found
    homes = {kind.__module__ for kind in machine._ON_OPENAI}
    assert homes <= {"bridge.realtime.openai", "bridge.realtime.openai_events"}


def test_gate_ledger_and_tools_know_no_carrier():
    paths = [
        *(ROOT / "dsp").rglob("*.py*"),
        *(ROOT / "bridge/media").glob("*.py"),
        *(ROOT / "bridge/agent").glob("*.py"),
    ]
    sources = [path for path in paths if path.suffix in (".py", ".pyx")]

    assert len(sources) > 15
    assert not words_in(sources, "bridge.telephony")


def test_the_silent_caller_is_prompted_where_it_says(monkeypatch):
    assert timeouts._ON_TIMER[Timer.IDLE] is goodbye.on_idle

    call = answered_call(idle_prompt_ms=5_000)
    asked = of(openai.ResponseCreate, fire(call, 5.1))
    assert [one.response for one in asked] == [session_config.still_there()]
    call.responses.begin_anew()
    ended = of(HangUp, fire(call, 60.0))
    assert ended[0].reason == "silence"


def test_a_written_message_goes_from_file_to_file_as_it_says():
    calls = {
        "bridge/service/webhooks.py": "self._messages.receive(",
        "bridge/messaging/receiving.py": "conversations.receive(",
        "bridge/messaging/messenger.py": "message_work.claim(",
        "bridge/messaging/answering.py": "writing_prompt.instructions(",
        "bridge/messaging/composing.py": "decide(",
    }
    for path, call in calls.items():
        assert call in (ROOT / path).read_text(), path


def test_refused_records_are_in_the_file_it_says(tmp_path):
    records = RefusedRecords(tmp_path)
    records.add(b'{"no":"record"}', "refused")
    assert (tmp_path / REFUSED).read_text() == '{"no":"record"}\n'

    writer = RecordWriter(None, tmp_path, Metrics())
    text = " ".join(text_of("Where are refused records?").split())
    assert f"`{REFUSED}` in `KOLBRIDGE_HOME/{writer.refused._path.parent.name}`" in text


def test_what_is_compiled_and_the_commands_are_as_it_says():
    makefile = (ROOT / "Makefile").read_text()
    setup = (ROOT / "setup.py").read_text()
    text = text_of("How do I rebuild and test?")

    for target in re.findall(r"`make ([\w-]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert '.rglob("*.pyx")' in setup
    for path in ("bridge/media/uplink.py", "bridge/media/playout.py"):
        assert path in setup
        assert path in text
