"""Tools that one response asks for run in the order in which it asks."""

import asyncio

from bridge.agent.tools import Answer
from bridge.call.plan import RunTool
from tests.bridge.agent.test_tools import answer_of, asked, runner
from tests.bridge.agent.test_verification import EMAIL, in_salon

CREATE, CANCEL = "calendar_create_appointment", "calendar_cancel_appointment"


async def together(ask, *calls):
    """Ask for tools as one response does; return their answers."""
    return await asyncio.gather(*(ask(name, **given) for name, given in calls))


def test_a_tool_begins_when_the_one_before_has_ended():
    steps = []

    async def work(arguments, tool_call_id):
        steps.append(f"{arguments.name} begins")
        await asyncio.sleep(0)
        steps.append(f"{arguments.name} ends")
        return Answer({})

    async def main():
        one = runner(work)
        await asyncio.gather(
            *(one.run(asked(f'{{"name":"{name}"}}')) for name in ("a", "b", "c"))
        )

    asyncio.run(main())
    assert steps == [
        f"{name} {step}" for name in ("a", "b", "c") for step in ("begins", "ends")
    ]


def test_a_tool_behind_a_late_one_has_the_time_that_is_left():
    begun = []

    async def never(arguments, tool_call_id):
        begun.append(arguments.name)
        await asyncio.Event().wait()

    async def main():
        one = runner(never, deadline_ms=20)
        first = asyncio.create_task(one.run(asked('{"name":"a"}')))
        second = asyncio.create_task(one.run(asked('{"name":"b"}')))
        answers = [answer_of(await task) for task in (first, second)]
        third = await one.run(RunTool("call_3", "book", "{"))
        return answers, third

    answers, third = asyncio.run(asyncio.wait_for(main(), 5))
    assert all("did not answer within 20 ms" in one["error"] for one in answers)
    assert begun[0] == "a"
    # Who is late holds up nobody.
    assert "input data was truncated" in answer_of(third)["error"]


def test_what_is_booked_beside_the_proof_is_the_leads(database_url):
    async def story(salon, at):
        dana = await salon.ring()
        slots = (await dana.ask("calendar_find_slots"))["slots"]
        new = slots[0]["starts_at"]
        proven, booked = await together(
            dana.ask,
            ("caller_verify", {"email": EMAIL}),
            (CREATE, {"starts_at": new}),
        )
        assert proven["verified"]
        assert booked["booked"]["starts_at"] == new
        gone = await dana.ask(CANCEL, starts_at=new)
        assert gone["cancelled"]["starts_at"] == new

        again = await salon.ring()
        _, gone = await together(
            again.ask, ("caller_verify", {"email": EMAIL}), (CANCEL, {})
        )
        assert gone["cancelled"]["starts_at"] == at

    in_salon(database_url, story)


def test_what_is_booked_cancelled_and_booked_at_once_is_booked(database_url):
    async def story(salon, at):
        dana = await salon.ring(stir_verstat="TN-Validation-Passed-A")
        slots = (await dana.ask("calendar_find_slots"))["slots"]
        first, second = (slots[at]["starts_at"] for at in (0, 1))
        answers = await together(
            dana.ask,
            (CREATE, {"starts_at": first}),
            (CANCEL, {"starts_at": first}),
            (CREATE, {"starts_at": second}),
            (CANCEL, {"starts_at": at}),
        )
        assert [next(iter(one)) for one in answers] == ["booked", "cancelled"] * 2
        async with salon.db.tenant(salon.id) as connection:
            left = await connection.fetch(
                "select starts_at from appointments where status = 'booked'"
            )
        assert [row["starts_at"].isoformat() for row in left] == [
            answers[2]["booked"]["starts_at"]
        ]

    in_salon(database_url, story)
