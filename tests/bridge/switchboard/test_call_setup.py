"""From a webhook to a plan, against a real database."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from bridge.settings.options import CallOptions
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import Ringing, fallback_of, open_plan
from crm import businesses, conversations, leads
from crm.conversations import Arrived
from crm.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def opened(
    url,
    from_number="+15550000001",
    settings=None,
    own=(),
    times=1,
    is_test=False,
    **columns,
):
    """Open a call to a new business; return what came of the last of `times`."""

    async def story():
        database = await Database.open(url)
        try:
            number = f"+1555{uuid4().int % 10**7:07}"
            business_id = await businesses.create(database, "Salon", **columns)
            await businesses.add_number(database, business_id, number)
            for name, value in own:
                await businesses.set_setting(database, business_id, name, value)
            ringing = Ringing(
                call_sid="CA1",
                account_sid="AC1",
                from_number=number if from_number is None else from_number,
                to_number=number,
                is_test=is_test,
            )
            for _ in range(times):
                opening = await open_plan(
                    database, settings or Settings(), ringing, NOW
                )
            return opening
        finally:
            await database.close()

    return asyncio.run(story())


def test_call_from_the_console_is_of_no_account(database_url):
    own = [("number_account", "AC" + "1" * 32)]

    assert opened(database_url, own=own) is None
    assert opened(database_url, own=own, is_test=True) is not None


def test_plan_is_the_businesss(database_url):
    opening = opened(
        database_url,
        language="he",
        greeting="שלום",
        custom_prompt="Be kind.",
        required_fields=["name"],
        own=[("openai_voice", "cedar"), ("snr_start_normal", 7)],
    )

    plan = opening.plan
    assert (plan.business_name, plan.language, plan.greeting) == ("Salon", "he", "שלום")
    assert plan.instructions.endswith("Be kind.")
    assert plan.missing_fields == ("name",)
    assert plan.options == CallOptions(openai_voice="cedar", snr_start_normal=7.0)
    assert [tool.name for tool in plan.tools] == [
        "calendar_find_slots",
        "calendar_create_appointment",
        "calendar_cancel_appointment",
        "calendar_reschedule_appointment",
        "leads_upsert",
        "end_call",
    ]
    assert list(opening.tools) == [tool.name for tool in plan.tools[:-1]]


def test_business_without_a_greeting_has_one_in_its_language(database_url):
    assert "Salon" in opened(database_url).plan.greeting
    assert "שלום" in opened(database_url, language="he").plan.greeting
    assert opened(database_url, language="fr").plan.greeting.startswith("Bonjour")
    assert opened(database_url, language="nl").plan.greeting.startswith("Goedendag")
    assert opened(database_url, language="ka").plan.greeting.startswith("Hello")


def test_caller_becomes_a_lead_and_is_known_the_next_time(database_url, caplog):
    with caplog.at_level("INFO", "kolbridge"):
        opening = opened(database_url, times=2)

    assert [line for line in caplog.messages if "[CRM]" in line] == [
        "[CRM] lead +155…01: created",
        "[CRM] lead +155…01: known, call 2",
    ]
    assert "called before, 1 times" in opening.plan.instructions


@pytest.mark.parametrize("hidden", ["anonymous", "+266696687x", "", "sip:a@b.example"])
def test_caller_who_hides_his_number_is_nobodys_lead(database_url, hidden):
    opening = opened(database_url, hidden, required_fields=["name"])

    assert "the number is hidden" in opening.plan.instructions
    assert opening.plan.missing_fields == ("name",)


def test_wrong_setting_in_the_database_does_not_cost_the_call(database_url, caplog):
    opening = opened(database_url, own=[("openai_voice", "fable")])

    assert opening.plan.options == CallOptions()
    assert "OPENAI_VOICE='fable': expected one of" in caplog.text


@pytest.mark.parametrize(
    "form", ["{}", "sip:+{}@salon.sip.twilio.com;region=us1", "whatsapp:+{}", "tel:+{}"]
)
def test_numbers_find_their_business_and_lead_in_every_form(database_url, form):
    async def story():
        database = await Database.open(database_url)
        try:
            number = f"1555{uuid4().int % 10**7:07}"
            business_id = await businesses.create(database, "Salon")
            await businesses.add_number(database, business_id, f"+{number}")
            before = await leads.touch(database, business_id, "+12025550123")
            ringing = Ringing(
                call_sid="CA1",
                account_sid="AC1",
                from_number=form.format("12025550123"),
                to_number=form.format(number),
            )
            opening = await open_plan(database, Settings(), ringing, NOW)
            return before, opening, await leads.recent(database, business_id)
        finally:
            await database.close()

    before, opening, (lead,) = asyncio.run(story())

    assert (lead.id, lead.calls) == (before.id, 2)
    assert opening.plan.from_number == "+12025550123"
    assert '"phone":"+12025550123"' in opening.plan.instructions


def test_callers_whom_a_switchboard_forwards_by_the_businesss_number_share_no_lead(
    database_url,
):
    plan = opened(database_url, from_number=None, times=2).plan

    assert "Caller: unknown; the number is hidden" in plan.instructions
    assert plan.caller_worth == "none"


@pytest.mark.parametrize("withheld", ["+266696687", "86282452253", "Restricted"])
def test_callers_who_withhold_their_number_share_no_lead(
    database_url, withheld, caplog
):
    with caplog.at_level("INFO", "kolbridge"):
        plan = opened(database_url, from_number=withheld, times=2).plan

    assert "Caller: unknown; the number is hidden" in plan.instructions
    assert (plan.from_number, plan.caller_worth) == (withheld, "none")
    assert "not a lead: number worth none, attestation none" in caplog.text


def test_number_of_no_business_has_no_plan(database_url):
    async def story():
        database = await Database.open(database_url)
        ringing = Ringing(
            call_sid="CA1", account_sid="", from_number="", to_number="+15559999999"
        )
        try:
            return await open_plan(database, Settings(), ringing, NOW)
        finally:
            await database.close()

    assert asyncio.run(story()) is None


def test_fallback_is_the_businesss_then_the_operators_then_ours(database_url):
    own = opened(database_url, fallback_sentence="Own.", language="he")
    operators = opened(database_url, settings=Settings(fallback_sentence="Op."))
    hebrew = opened(database_url, language="he")
    french = opened(database_url, language="fr")
    georgian = opened(database_url, language="ka")

    assert own.fallback == ("Own.", "he")
    assert operators.fallback == ("Op.", "en")
    assert hebrew.fallback.language == "he"
    assert hebrew.fallback.text.startswith("מצטערים")
    assert french.fallback.text.startswith("Désolé")
    assert georgian.fallback.language == "en"
    assert fallback_of(Settings(), None).text.startswith("Sorry")


def test_what_the_operator_wrote_is_spoken_in_the_operators_language(database_url):
    english = Settings(fallback_sentence="Op.")
    dutch = Settings(fallback_sentence="Helaas.", fallback_language="nl")

    assert opened(database_url, settings=english, language="he").fallback == (
        "Op.",
        "en",
    )
    assert opened(database_url, settings=dutch, language="he").fallback.language == "nl"
    assert fallback_of(dutch, None) == ("Helaas.", "nl")


def test_fallback_is_said_as_the_businesss_country_says_it(database_url):
    lisbon = opened(database_url, language="pt", country="PT").fallback
    own = opened(
        database_url, language="pt", country="PT", fallback_sentence="Até logo."
    ).fallback

    assert lisbon.text.startswith("Lamentamos")
    assert lisbon.language == own.language == "pt-PT"


def rung_after_message(database_url, writer, callers):
    """Return the plans of calls to a business that `writer` has just written to, and
    the numbers of its leads."""

    async def story():
        database = await Database.open(database_url)
        try:
            number = f"+1555{uuid4().int % 10**7:07}"
            business_id = await businesses.create(database, "Salon")
            await businesses.add_number(database, business_id, number)
            message = Arrived(f"SM{uuid4().hex}", "Is Sunday free?", number)
            await conversations.receive(
                database, business_id, message._replace(writer=writer)
            )
            plans = []
            for at, caller in enumerate(callers):
                ringing = Ringing(
                    call_sid=f"CA{at}",
                    account_sid="AC1",
                    from_number=caller,
                    to_number=number,
                )
                opening = await open_plan(database, Settings(), ringing, NOW)
                plans.append(opening.plan)
            async with database.tenant(business_id) as connection:
                phones = "select array_agg(phone) from leads"
                return plans, await connection.fetchval(phones)
        finally:
            await database.close()

    return asyncio.run(story())


def test_caller_who_wrote_a_minute_ago_is_known(database_url):
    writer = "+15550000001"
    callers = (writer, "+15550000003", "anonymous")
    (wrote, other, hidden), _ = rung_after_message(database_url, writer, callers)

    said = 'Written lately (data): ["writer: Is Sunday free?"]'
    assert wrote.prompt_facts.endswith(said)
    assert wrote.prompt == other.prompt
    for one in (other, hidden):
        assert "Written lately" not in one.instructions


def test_caller_is_known_by_the_number_from_which_they_wrote(database_url):
    caller = "+5531987654321"
    (plan,), numbers = rung_after_message(database_url, "+553187654321", [caller])

    # What they call from can be called.
    assert [plan.from_number] == numbers == [caller]
    assert "Written lately" in plan.prompt_facts
