"""`kolbridge bench capacity`: how many calls a node carries on this machine."""

import asyncio
import os
import signal
import subprocess
import sys
from binascii import a2b_base64
from pathlib import Path

import orjson
import pytest

from bridge.cli.capacity import named_frames, service
from bridge.cli.capacity.command import (
    Result,
    as_json,
    as_text,
    limit_of,
    line_of,
    placed,
)
from bridge.cli.capacity.ends import speech
from bridge.cli.capacity.load import joined
from bridge.cli.capacity.load_process import Report
from bridge.cli.capacity.run import Cores, Plan, divided, measured, percentile
from bridge.cli.capacity.search import (
    Bounds,
    Found,
    Limit,
    Step,
    Verdict,
    find,
    judge,
    next_number,
)
from bridge.cli.main import main
from bridge.settings.process import load

ROOT = Path(__file__).parents[3]
BOUNDS = Bounds(busy_percent=88, lag_budget_ms=20)
# A machine with other work on it is slow, too.
LENIENT = Bounds(busy_percent=100, lag_budget_ms=10_000)
NO_ENV = Path("/nonexistent")


# --- the search ---


def search(measure, first=16, up_to=10_000):
    tried = []

    async def told(calls):
        tried.append(calls)
        return measure(calls)

    return asyncio.run(find(told, first, up_to, BOUNDS)), tried


def machine(calls_at_88):
    """Return a service whose loop is 88 % busy with so many calls."""
    return lambda calls: Step(calls, busy_percent=88 * calls / calls_at_88)


@pytest.mark.parametrize("capacity", [1, 3, 16, 17, 100, 777, 1_000])
def test_the_largest_number_that_is_carried_well_is_found(capacity):
    found, tried = search(machine(capacity))

    assert capacity * 0.95 - 1 <= found.calls <= capacity
    assert found.verdict.limit is Limit.BUSY
    assert found.beyond.calls > capacity
    assert len(tried) <= 20


def test_a_slower_service_has_a_smaller_capacity():
    fast, slow = (search(machine(capacity))[0].calls for capacity in (1_000, 250))

    assert slow < fast / 3


def test_a_bad_step_counts_if_it_is_bad_twice():
    stalls = iter([True, *[False] * 100])

    def stalled_once(calls):
        late = next(stalls)
        return Step(calls, uplink_ms=(1.0, 90.0 if late else 1.0))

    found, tried = search(stalled_once, up_to=40)
    assert found.calls == 40
    assert tried == [16, 16, 32, 40]


def test_no_more_calls_are_tried_than_were_asked_for():
    found, tried = search(machine(1_000), up_to=50)

    assert max(tried) == found.calls == 50
    assert found.is_at_least
    assert found.verdict.limit is Limit.UP_TO


def test_a_service_that_carries_nothing_has_none():
    found, tried = search(lambda calls: Step(calls, lost_calls=1))

    assert found.calls == 0
    assert found.best is None
    assert min(tried) == 1


def test_growth_follows_the_busy_share_near_the_limit():
    assert next_number(Step(100, busy_percent=5), BOUNDS) == 200
    assert next_number(Step(100, busy_percent=60), BOUNDS) == 139
    assert next_number(Step(100, busy_percent=87), BOUNDS) == 110
    assert next_number(Step(1, busy_percent=87), BOUNDS) == 2


GOOD = Step(
    100, busy_percent=60, uplink_ms=(0.3, 4), downlink_ms=(0.3, 5), load_lag_ms=1
)


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({}, None),
        ({"gaps": 3}, None),
        ({"load_lag_ms": 9.0}, None),
        ({"busy_percent": 89}, Limit.BUSY),
        ({"uplink_ms": (1, 21)}, Limit.LATE),
        ({"downlink_ms": (1, 21)}, Limit.LATE),
        ({"lost_frames": 1}, Limit.LOST),
        ({"lost_calls": 1}, Limit.LOST),
        ({"refused": "busy"}, Limit.REFUSED),
        ({"load_sent": 0.98}, Limit.LOAD),
        # Whatever else is wrong, a late load says nothing of the service.
        ({"uplink_ms": (1, 21), "load_lag_ms": 9.0}, Limit.LOAD),
        ({"lost_frames": 1, "load_lag_ms": 9.0}, Limit.LOAD),
        ({"lost_calls": 1, "load_sent": 0.9}, Limit.LOST),
        # The service measures its own loop.
        ({"busy_percent": 89, "load_sent": 0.9}, Limit.BUSY),
        ({"busy_percent": 89, "load_lag_ms": 9.0}, Limit.BUSY),
    ],
)
def test_a_step_is_judged_by_the_thresholds_of_admission(changed, limit):
    verdict = judge(GOOD._replace(**changed), BOUNDS)

    assert (verdict and verdict.limit) is limit


@pytest.mark.parametrize("bad", [{"busy_percent": 90}, {"uplink_ms": (1, 30)}])
def test_the_work_of_other_processes_is_told(bad):
    alone, beside = (
        judge(GOOD._replace(waited_percent=waited, **bad), BOUNDS).why
        for waited in (1.0, 12.0)
    )

    assert "other processes" not in alone
    assert beside == f"{alone} (other processes had its processor for 12 % of the time)"


# --- what is told ---


def result(limit, calls=1_003, workers=2, beyond=1_060, why="the loop is 90 % busy"):
    best, over = GOOD._replace(calls=calls), GOOD._replace(calls=beyond)
    return Result(workers, Found(best, over, Verdict(limit, why)), is_shared=False)


def test_the_result_has_the_lines_to_copy_and_the_rule():
    text = "\n".join(as_text(result(Limit.BUSY)))

    assert "K = 1003 calls with 2 workers\n" in text
    assert "limited by: the loop is 90 % busy at 1060 calls\n" in text
    assert "\ncallsPerNode: 802\n" in text
    assert "\nMAX_CALLS_PER_WORKER=401\n" in text
    assert "80% of K" in text


def test_a_load_that_is_the_limit_is_named():
    made = result(Limit.LOAD, why="the load is late")
    text = "\n".join(as_text(made))
    full = made.found.beyond._replace(load_busy_percent=95)
    more = limit_of(made.found._replace(beyond=full))

    assert "K = at least 1003 calls" in text
    assert "the load, not the service: the load is late at 1060 calls" in text
    assert "a machine without other processes would show more" in text
    assert "a machine with more processors would show more" in more
    assert orjson.loads(as_json(made))["is_at_least"] is True


def test_json_has_the_figures():
    assert orjson.loads(as_json(result(Limit.LATE))) == {
        "workers": 2,
        "calls": 1_003,
        "is_at_least": False,
        "limited_by": "late",
        "why": "the loop is 90 % busy at 1060 calls",
        "shares_processor": False,
        "busy_percent": 60.0,
        "waited_percent": 0.0,
        "cpu_ms_a_call_second": 0.0,
        "uplink_ms_p99": 4.0,
        "downlink_ms_p99": 5.0,
        "calls_per_node": 802,
        "max_calls_per_worker": 401,
    }


def test_no_capacity_is_said_plainly():
    none = Result(1, Found(None, GOOD, Verdict(Limit.LATE, "frames are late")), True)

    assert as_text(none)[0] == "K = 0 with 1 worker: frames are late"
    assert orjson.loads(as_json(none))["calls_per_node"] == 0


def test_a_step_is_one_line_with_its_verdict():
    assert line_of(GOOD, BOUNDS).split()[-1] == "good"
    assert line_of(GOOD._replace(lost_frames=7), BOUNDS).endswith("frames lost: 7")
    refused = Step(366, refused="lagging")
    told = "not measured: the service refuses a call: lagging"
    assert line_of(refused, BOUNDS).split(maxsplit=1) == ["366", told]


@pytest.mark.parametrize(
    ("cores", "workers", "ours", "load", "told"),
    [
        ({0, 1}, 1, {1}, (0,), "1 of 2 processors for the service, 1 for the load"),
        ({0, 1, 2, 3}, 2, {2, 3}, (0, 1), "2 of 4 processors"),
        ({0, 1}, 4, {1}, (0,), "for the load: K is too small"),
        ({5}, 1, {5}, (5,), "share one processor"),
    ],
)
def test_service_and_load_have_processors_of_their_own(
    cores, workers, ours, load, told
):
    found = divided(cores, workers)

    assert found == Cores(frozenset(ours), load)
    assert told in placed(found, workers)


# --- the load ---


def test_a_named_frame_tells_its_age_and_kind():
    chars = named_frames.name(named_frames.UPLINK)

    assert len(chars) == named_frames.NAME_CHARS
    assert chars[0] == named_frames.FIRST_CHAR
    assert 0 <= named_frames.age_ms(chars, named_frames.UPLINK) < 60_000
    assert named_frames.age_ms(chars, named_frames.DOWNLINK) is None


def test_no_frame_of_speech_is_taken_for_a_named_one():
    for frame in speech():
        assert frame[0] != named_frames.FIRST_CHAR
        assert len(a2b_base64(frame)) == 160


def test_reports_are_joined():
    one = Report(calls=2, uplink_ms=[1.0], frames_due=100, frames_sent=90, busy=0.2)
    other = Report(calls=3, uplink_ms=[2.0], refused="no", busy=0.7, lost_calls=1)

    both = joined([one, other])
    assert (both.calls, both.uplink_ms, both.refused) == (5, [1.0, 2.0], "no")
    assert (both.frames_due, both.busy, both.lost_calls) == (100, 0.7, 1)


def test_percentiles_are_values_that_occurred():
    values = [float(at) for at in range(1, 101)]

    assert (percentile(values, 50), percentile(values, 99)) == (50.0, 99.0)
    assert (percentile([3.0], 99), percentile([], 99)) == (3.0, 0.0)


# --- the service ---


def test_metrics_are_read_by_sample_and_by_name():
    text = '# HELP a b\na 1.0\nb{kind="x"} 2.0\nb{kind="y"} 3.0\n'

    assert service.samples_of(text) == {
        "a": 1.0,
        'b{kind="x"}': 2.0,
        'b{kind="y"}': 3.0,
        "b": 5.0,
    }


def test_settings_count_and_nothing_outside_is_reached(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "MAX_BUSY_PERCENT=70\nLAG_BUDGET_MS=30\nPUBLIC_URL=https://a.example\n"
        "OPENAI_API_KEY=sk-real\nTWILIO_AUTH_TOKEN=real\nADMIN_HOST=0.0.0.0\n"
        "ADMIN_TOKEN=real-admin-token\nNODE_URL=https://a.example/n/1\n"
    )
    given = {"LAG_BUDGET_MS": "40", "RECORD_DIR": "/recordings", "LOG_LEVEL": " "}
    more = {"OPENAI_REALTIME_URL": "ws://127.0.0.1:1/v1/realtime"}

    env = service.environment(given, dotenv, more)
    found = load(env)
    assert (found.max_busy_percent, found.lag_budget_ms) == (70, 40)
    assert found.public_url is found.node_url is found.record_dir is None
    assert not [value for value in env.values() if "real" in value.split("-")]
    assert found.is_loopback
    assert found.twilio_api_url.startswith("http://127.0.0.1:")


def test_the_reason_of_a_failed_start_is_the_last_line_of_the_log():
    assert (
        service.last_word('{"message": "one"}\n{"message": "no port"}\n') == "no port"
    )
    assert service.last_word("Traceback\nValueError: no") == "ValueError: no"
    assert service.last_word("") == "no word"


def test_a_service_that_does_not_start_says_why():
    plan = Plan(1, 1.0, 1, LENIENT)

    with pytest.raises(service.ServiceError, match="MAX_BUSY_PERCENT"):
        measured(plan, os.environ | {"MAX_BUSY_PERCENT": "300"}, NO_ENV, print)


# --- the whole, small ---


def test_a_few_calls_are_measured(monkeypatch, capsys):
    for name, value in (("MAX_BUSY_PERCENT", "100"), ("LAG_BUDGET_MS", "10000")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORKERS", raising=False)

    assert main(["bench", "capacity", "--up-to", "3", "--seconds", "2", "--json"]) == 0
    out, errors = capsys.readouterr()
    found = orjson.loads(out)
    assert (found["calls"], found["limited_by"]) == (3, "up_to")
    assert found["is_at_least"] is True
    assert found["cpu_ms_a_call_second"] > 0
    assert errors.splitlines()[-1].endswith("good")


def test_a_slow_service_is_found_to_carry_less():
    env = os.environ | {"PYTHONPATH": str(ROOT), "SPIN_US": "3000"}
    plan = Plan(
        *(1, 1.0, 16, LENIENT._replace(busy_percent=88)),
        first=4,
        settle_s=1.0,
        patience_s=1.0,
        module="bench.slower",
    )

    # Each call costs 15 % of a processor.
    found = measured(plan, env, NO_ENV, print)
    assert found.calls < 8
    assert found.verdict.limit is not Limit.UP_TO


def test_ctrl_c_ends_all_processes():
    wanted = ["bench", "capacity", "--seconds", "2"]
    command = [sys.executable, "-m", "bridge.cli.main", *wanted]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        lines = iter(process.stderr.readline, "")
        next(line for line in lines if line.split()[0] == "16")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pids = children.read_text().split()
        process.send_signal(signal.SIGINT)
        rest = list(lines)

    assert process.returncode == 130
    assert len(pids) >= 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in "".join(rest)


@pytest.mark.parametrize(
    "given",
    [("--seconds", "0"), ("--seconds", "x"), ("--workers", "0"), ("--up-to", "-1")],
)
def test_what_cannot_be_measured_is_refused(given, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "capacity", *given])

    assert ended.value.code == 2
    assert f"argument {given[0]}: {given[1]!r}: expected" in capsys.readouterr().err


def test_wrong_settings_are_told(monkeypatch, capsys):
    monkeypatch.setenv("LAG_BUDGET_MS", "soon")

    assert main(["bench", "capacity"]) == 2
    assert "kolbridge bench capacity: LAG_BUDGET_MS=" in capsys.readouterr().err
