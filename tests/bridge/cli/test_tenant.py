"""`kolbridge tenant`, `calls` and `leads` as they are typed, on a real database."""

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import orjson
import pytest

from bridge.business.tenant_file import read
from bridge.cli import main
from crm import businesses, calls, leads
from crm.database import Database
from tests.bridge.records.test_summary import TOOL, TURN, kept

CALLER = "+15550000001"
ROOT = str(Path(__file__).parents[3])


def stored(url, name):
    async def story():
        db = await Database.open(url, pool_max=1)
        found = [one for one, known in await businesses.list_all(db) if known == name]
        business = await businesses.get(db, found[0])
        await db.close()
        return business

    return asyncio.run(story())


def test_create_says_its_id_and_refuses_the_name_twice(shell, embedded_url, tmp_path):
    (tmp_path / "prompt.txt").write_text("Offer coffee.")
    name = f"Shop {uuid4().hex[:8]}"
    typed = ("tenant", "create", name, "--language", "he", "--country", "IL")
    more = ("--time-zone", "Asia/Jerusalem", "--prompt", "prompt.txt")
    code, out, _ = shell(*typed, *more, "--required", "name", "--required", "email")

    business = stored(embedded_url, name)
    assert (code, out.strip()) == (0, str(business.id))
    assert (business.language, business.country) == ("he", "IL")
    assert business.custom_prompt == "Offer coffee."
    assert business.required_fields == ("name", "email")
    code, _, error = shell("tenant", "create", name)
    assert code == 2
    assert "there is a business of this name" in error


def test_list_is_of_all_and_json_a_line_each(shell, salon):
    assert salon in shell("tenant", "list")[1]
    _, out, _ = shell("tenant", "list", "--json")
    assert salon in [orjson.loads(line)["name"] for line in out.splitlines()]


def test_show_is_a_file_and_the_prompt(shell, salon):
    _, out, _ = shell("tenant", "show", salon)
    assert f'name = "{salon}"' in out
    assert f"You answer the telephone for {salon}" in out
    assert "### BUSINESS INSTRUCTIONS" in out

    _, out, _ = shell("tenant", "show", salon, "--json")
    shown = orjson.loads(out)
    assert shown["name"] == salon
    assert "### BUSINESS INSTRUCTIONS" in shown["instructions"]


def test_set_changes_words_and_settings_and_resets(shell, salon, embedded_url):
    changed = ("greeting=Hi.", "OPENAI_VOICE=cedar", "audio_agc=on")
    assert (
        shell("tenant", "set", salon, *changed, "required_fields=name, email")[0] == 0
    )
    business = stored(embedded_url, salon)
    assert business.greeting == "Hi."
    assert business.settings == {"openai_voice": "cedar", "audio_agc": True}
    assert business.required_fields == ("name", "email")

    assert shell("tenant", "set", salon, "OPENAI_VOICE=")[0] == 0
    assert stored(embedded_url, salon).settings == {"audio_agc": True}


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("OPENAI_VOICE=fable", "OPENAI_VOICE='fable': expected one of alloy"),
        ("SNR_STOP_NORMAL=30", "SNR_STOP_NORMAL=30: expected at most"),
        ("COLOUR=red", "COLOUR: there is no such field or setting"),
        ("time-zone=UTC", "no such field or setting: is time_zone meant?"),
        ("time_zone=Mars", "time_zone='Mars': expected a zone"),
        ("greeting", "expected NAME=VALUE, got 'greeting'"),
    ],
)
def test_wrong_value_is_named_and_nothing_is_saved(
    shell, salon, embedded_url, pair, words
):
    before = stored(embedded_url, salon)
    code, out, error = shell("tenant", "set", salon, "language=he", pair)

    assert (code, out) == (2, "")
    assert error.startswith("kolbridge tenant: ")
    assert words in error
    assert error.count("\n") == 1
    assert stored(embedded_url, salon) == before


def test_setting_that_contradicts_one_stored_before_is_refused(shell, salon):
    assert shell("tenant", "set", salon, "SNR_START_NORMAL=6")[0] == 0
    code, _, error = shell("tenant", "set", salon, "SNR_STOP_NORMAL=7")
    assert code == 2
    assert "expected at most SNR_START_NORMAL (6)" in error


def test_numbers_are_added_removed_and_one_businesss_only(shell, salon, embedded_url):
    (first,) = stored(embedded_url, salon).numbers
    second = f"+1666{uuid4().int % 10**7:07}"
    _, out, _ = shell("tenant", "numbers", salon, "--add", second)
    assert out.split() == [first, second]
    _, out, _ = shell("tenant", "numbers", salon, "--remove", first)
    assert out.split() == [second]
    code, _, error = shell("tenant", "numbers", salon, "--remove", first)
    assert code == 2
    assert "does not stand there" in error

    _, _, error = shell("tenant", "numbers", salon, "--add", "+15550100")
    assert "numbers: '+15550100': expected an international number" in error
    other = f"Other {uuid4().hex[:8]}"
    code, _, error = shell("tenant", "create", other, "--number", second)
    assert code == 2
    assert f"numbers: {second} belongs to '{salon}'" in error
    assert other not in shell("tenant", "list")[1]


def test_hours_are_set_day_by_day(shell, salon, embedded_url):
    day = ("tenant", "hours", salon, "sunday")
    shell(*day, "09:00-13:00", "14:00-18:30")
    _, out, _ = shell("tenant", "hours", salon)
    assert out.splitlines()[0].split() == ["sunday", "09:00-13:00", "14:00-18:30"]
    assert out.splitlines()[1].split() == ["monday", "closed"]
    assert [one.opens_minute for one in stored(embedded_url, salon).hours] == [540, 840]

    assert "expected hours" in shell(*day)[2]
    assert shell(*day, "closed")[0] == 0
    assert stored(embedded_url, salon).hours == ()


def test_closures_are_days_or_spans_of_them(shell, salon):
    typed = ("tenant", "closures", salon)
    _, out, _ = shell(*typed, "--add", "2026-12-24..2026-12-26", "--reason", "Feast")
    assert out == "2026-12-24 2026-12-26 Feast\n"
    _, out, _ = shell(*typed, "--add", "2027-01-01")
    assert out.splitlines()[1] == "2027-01-01 2027-01-01"
    _, out, _ = shell(*typed, "--remove", "2026-12-24")
    assert out == "2027-01-01 2027-01-01\n"
    assert "expected a day such as" in shell(*typed, "--add", "tomorrow")[2]
    assert "does not stand there" in shell(*typed, "--remove", "2026-12-24")[2]


def test_services_keep_their_rows_when_they_change(shell, salon, embedded_url):
    def row_id():
        async def story():
            db = await Database.open(embedded_url, pool_max=1)
            async with db.tenant(business.id) as connection:
                found = await connection.fetchval("select id from services")
            await db.close()
            return found

        return asyncio.run(story())

    typed = ("tenant", "services", salon)
    _, out, _ = shell(*typed, "Cut", "30", "--buffer", "5")
    assert out == "  30 min + 5 min  Cut\n"
    business = stored(embedded_url, salon)
    before = row_id()
    shell("tenant", "service", salon, "Cut", "45")
    assert row_id() == before

    assert "expected how many minutes" in shell(*typed, "Shave")[2]
    assert "minutes=4: expected 5 to 1440" in shell(*typed, "Shave", "4")[2]
    assert shell(*typed, "Cut", "--remove")[1] == ""
    assert "does not stand there" in shell(*typed, "Cut", "--remove")[2]


def test_prompt_comes_from_a_file(shell, salon, embedded_url, tmp_path):
    (tmp_path / "prompt.txt").write_text("Offer tea.\n")
    (tmp_path / "wrong.txt").write_bytes(b"\xff")
    assert shell("tenant", "prompt", salon, "prompt.txt")[0] == 0

    assert stored(embedded_url, salon).custom_prompt == "Offer tea.\n"
    assert (
        "wrong.txt: expected UTF-8" in shell("tenant", "prompt", salon, "wrong.txt")[2]
    )
    assert "none.txt: No such file" in shell("tenant", "prompt", salon, "none.txt")[2]


@pytest.mark.parametrize("name", ["salon.toml", "salon.json"])
def test_export_and_import_change_nothing_and_make_another(
    shell, salon, embedded_url, tmp_path, name
):
    shell("tenant", "hours", salon, "friday", "22:00-02:00")
    shell("tenant", "services", salon, "Cut", "30")
    shell("tenant", "closures", salon, "--add", "2026-12-24")
    shell("tenant", "set", salon, "prompt=Offer coffee.", "SNR_START_NORMAL=9")
    before = stored(embedded_url, salon)
    assert shell("tenant", "export", salon, name)[0] == 0

    code, out, _ = shell("tenant", "import", name)
    assert (code, out) == (0, f"{before.id}  {salon}: changed\n")
    assert stored(embedded_url, salon) == before

    text = (tmp_path / name).read_text()
    (number,) = before.numbers
    text = text.replace(salon, f"{salon} two").replace(number, f"+1666{number[5:]}")
    (tmp_path / name).write_text(text)
    assert shell("tenant", "import", name)[1].endswith(f"{salon} two: created\n")
    copy = stored(embedded_url, f"{salon} two")
    assert copy.hours == before.hours
    assert copy.settings == before.settings


def test_import_of_a_renamed_business_makes_no_second(
    shell, salon, embedded_url, tmp_path
):
    shell("tenant", "export", salon, "salon.toml")
    text = (tmp_path / "salon.toml").read_text()
    (tmp_path / "salon.toml").write_text(text.replace(salon, f"{salon} new"))
    before = stored(embedded_url, salon)

    code, out, error = shell("tenant", "import", "salon.toml")
    rename = f"kolbridge tenant set '{salon}' 'name={salon} new'"
    assert (code, out) == (2, "")
    assert error == (
        f"kolbridge tenant: numbers: {before.numbers[0]} belongs to '{salon}', and no "
        f"business is called '{salon} new'; to rename the one: {rename}\n"
    )

    assert shell(*shlex.split(rename)[1:])[0] == 0
    assert shell("tenant", "import", "salon.toml")[1].endswith(" new: changed\n")
    assert stored(embedded_url, f"{salon} new").id == before.id


def test_no_business_takes_the_name_of_another(shell, salon):
    shell("tenant", "create", f"{salon} two")
    code, _, error = shell("tenant", "set", f"{salon} two", f"name={salon}")
    assert code == 2
    assert f"name='{salon}': there is a business of this name" in error


def test_export_goes_to_the_screen_or_says_why_not(shell, salon):
    _, toml, _ = shell("tenant", "export", salon)
    _, json, _ = shell("tenant", "export", salon, "--json")
    assert read(toml.encode(), is_json=False) == read(json.encode(), is_json=True)

    code, _, error = shell("tenant", "export", salon, "no/such/folder.toml")
    assert code == 2
    assert "no/such/folder.toml: No such file" in error


def test_wrong_import_saves_nothing(shell, salon, embedded_url, tmp_path):
    before = stored(embedded_url, salon)
    text = f'name = "{salon}"\nlanguage = "he"\n[settings]\nopenai_voice = "fable"\n'
    (tmp_path / "wrong.toml").write_text(text)
    code, _, error = shell("tenant", "import", "wrong.toml")

    assert code == 2
    assert "settings: OPENAI_VOICE='fable'" in error
    assert stored(embedded_url, salon) == before


def test_business_of_no_such_name_is_named(shell):
    code, _, error = shell("tenant", "show", "Nobody's")
    assert code == 2
    assert error == ('kolbridge tenant: "Nobody\'s": no business has this name or id\n')


def test_database_that_cannot_be_had_is_a_line_and_exit_1(shell, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    code, _, error = shell("tenant", "list")
    assert code == 1
    assert error.startswith("kolbridge tenant: the database: ")
    assert error.count("\n") == 1


def test_reader_that_has_enough_is_no_error(salon, embedded_url, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli.main", "tenant", "list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT, "DATABASE_URL": embedded_url},
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_wrong_setting_of_the_process_is_a_line_and_exit_2(shell, monkeypatch):
    monkeypatch.setenv("PORT", "x")
    code, _, error = shell("tenant", "list")
    assert code == 2
    assert "PORT='x'" in error


@pytest.mark.parametrize("verb", ["", "set", "import", "closures", "services"])
def test_help_has_examples(shell, verb, capsys):
    with pytest.raises(SystemExit):
        main.main(["tenant", *filter(None, [verb]), "--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert f"kolbridge tenant {verb}" in shown


def placed(url, name, sid, **changes):
    """Write a call of a business, and its lead."""

    async def story():
        db = await Database.open(url, pool_max=1)
        business_id: UUID = stored_id
        await leads.upsert(db, business_id, CALLER, {"name": "Dana"})
        await calls.save(db, business_id, kept(business_id, sid, **changes).call)
        await db.close()

    stored_id = stored(url, name).id
    asyncio.run(story())


def test_calls_are_listed_and_one_is_shown_word_by_word(shell, salon, embedded_url):
    sid = f"CA{uuid4().hex}"
    asked = msgspec.structs.replace(TOOL, arguments='{"name":"Dana"}', at_s=2.0)
    placed(embedded_url, salon, sid, turns=[TURN], tools=[asked])
    shell("tenant", "set", salon, "time_zone=Asia/Jerusalem")

    _, out, _ = shell("calls", "--business", salon)
    assert out == (
        f"2026-11-21 13:59:20+02:00  {sid}  {salon}  {CALLER}  30 s  lead  tested  "
        "0.0000 USD\n"
    )
    _, out, _ = shell("calls", "--business", salon, "--json")
    assert orjson.loads(out)["call_sid"] == sid
    assert sid in shell("calls", "--limit", "1000")[1]

    _, out, _ = shell("calls", sid)
    assert "    1.0 s  caller: Hi\n    2.0 s  [leads_upsert] " in out
    assert "missing: name" in out
    assert out.endswith("Be brief.\n")
    _, out, _ = shell("calls", sid, "--json")
    shown = orjson.loads(out)
    assert shown["turns"][0]["text"] == "Hi"
    assert shown["tools"][0]["arguments"] == '{"name":"Dana"}'


def test_call_that_is_not_there_is_named(shell, salon):
    code, _, error = shell("calls", "CA404")
    assert (code, error) == (2, "kolbridge calls: 'CA404': there is no such call\n")
    assert "expected 1 to 10000" in shell("calls", "--limit", "0")[2]


def test_leads_are_listed(shell, salon, embedded_url):
    placed(embedded_url, salon, f"CA{uuid4().hex}")
    shell("tenant", "set", salon, "time_zone=Asia/Jerusalem")

    _, out, _ = shell("leads", "--business", salon)
    assert out == (
        f"2026-11-21 13:59:20+02:00  {salon}  {CALLER}  Dana  new  calls=0  next=-  "
        "{}\n"
    )
    _, out, _ = shell("leads", "--business", salon, "--json")
    assert orjson.loads(out)["name"] == "Dana"
