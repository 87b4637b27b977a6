"""Content resources of the sandbox: limits, variables, what the writer sees."""

import copy

import pytest

from bridge.sandbox.messaging.contents import Choice
from tests.sandbox.messaging.message_bridge import BUTTONS, ROWS, desk, run

TEXT = {"twilio/text": {"body": "Hello {{1}}"}}
ROW = {"id": "s1", "item": "Mo 9:00"}
BUTTON = {"title": "Yes", "id": "yes"}
LIST, REPLIES, MEDIA = "twilio/list-picker", "twilio/quick-reply", "twilio/media"


def test_resource_is_made_read_listed_and_deleted():
    async def story():
        async with desk() as d:
            status, made = await d.content(LIST, ROWS, friendly_name="times")
            path = f"/v1/Content/{made['sid']}"
            assert status == 201
            assert made["types"] == {LIST: ROWS}
            assert made["url"] == f"{d.api.url}{path}"
            assert await d.ask("GET", path) == (200, made)
            _, listed = await d.ask("GET", "/v1/Content?PageSize=10")
            assert (listed["contents"], listed["meta"]["key"]) == ([made], "contents")
            assert (await d.ask("GET", "/v1/Content?Size=1"))[1]["code"] == 20001
            assert (await d.ask("DELETE", path))[0] == 204
            for method in ("GET", "DELETE"):
                assert (await d.ask(method, path))[1]["code"] == 20404
            assert await d.refused(ContentSid=made["sid"]) == 21655
            assert (d.api.contents.made, d.api.contents.deleted) == (1, 1)

    run(story())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 20001),
        ({"types": TEXT}, 20001),
        ({"language": "English", "types": TEXT}, 20001),
        ({"language": "en"}, 20001),
        ({"language": "en", "types": {}}, 20001),
        ({"language": "en", "types": TEXT, "body": "x"}, 20001),
        ({"language": "en", "types": TEXT, "friendly_name": 1}, 20001),
        ({"language": "en", "types": TEXT, "variables": ["Dana"]}, 21656),
        ({"language": "en", "types": TEXT, "variables": {"1": 1}}, 21656),
        ({"language": "en", "types": {"twilio/text": {"body": "{{}}"}}}, 21656),
        ({"language": "en", "types": {"twilio/text": {"body": "{{1}"}}}, 21656),
        ({"language": "en", "types": {"twilio/fax": {"body": "x"}}}, 20001),
        ({"language": "en", "types": {"twilio/text": "x"}}, 20001),
    ],
)
def test_resource_of_a_wrong_form_is_refused(body, code):
    async def story():
        async with desk() as d:
            status, found = await d.ask("POST", "/v1/Content", json=body)
            assert (status, found["code"]) == (400, code)

    run(story())


def test_resource_must_be_json():
    async def story():
        async with desk() as d:
            form = {"language": "en"}
            assert (await d.ask("POST", "/v1/Content", data=form))[1]["code"] == 20001
            headers = {
                "Authorization": d.api.account.credentials,
                "Content-Type": "application/json",
            }
            status, _ = await d.ask("POST", "/v1/Content", data="{", headers=headers)
            assert status == 400

    run(story())


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("twilio/text", {"body": " "}, 20001),
        ("twilio/text", {"body": "x" * 1_601}, 21658),
        ("twilio/text", {"body": "x", "items": []}, 20001),
        (LIST, ROWS | {"items": []}, 20001),
        (LIST, ROWS | {"items": 11 * [ROW]}, 20001),
        (LIST, ROWS | {"items": ["Mo"]}, 20001),
        (LIST, ROWS | {"items": [{"item": "Mo 9:00"}]}, 20001),
        (LIST, ROWS | {"items": [ROW | {"item": "x" * 25}]}, 21658),
        (LIST, ROWS | {"items": [ROW | {"id": "x" * 201}]}, 21658),
        (LIST, ROWS | {"items": [ROW | {"description": "x" * 73}]}, 21658),
        (LIST, ROWS | {"items": [ROW | {"price": "1"}]}, 20001),
        (LIST, ROWS | {"button": "x" * 21}, 21658),
        (LIST, ROWS | {"button": None}, 20001),
        (LIST, ROWS | {"body": "x" * 1_025}, 21658),
        (REPLIES, BUTTONS | {"actions": 11 * [BUTTON]}, 20001),
        (REPLIES, BUTTONS | {"actions": [BUTTON | {"title": "x" * 21}]}, 21658),
        (REPLIES, BUTTONS | {"actions": [BUTTON | {"type": "URL"}]}, 20001),
        (REPLIES, BUTTONS | {"actions": None}, 20001),
        (MEDIA, {"media": []}, 20001),
        (MEDIA, {"media": ["file.png"]}, 21620),
    ],
)
def test_resource_beyond_a_limit_is_refused(kind, fields, code):
    async def story():
        async with desk() as d:
            status, found = await d.content(kind, fields)
            assert (status, found["code"]) == (400, code)

    run(story())


def test_what_is_at_the_limit_is_made():
    async def story():
        async with desk() as d:
            row = {"id": "x" * 200, "item": "x" * 24, "description": "x" * 72}
            for kind, fields in (
                ("twilio/text", {"body": "x" * 1_600}),
                (LIST, {"body": "x" * 1_024, "button": "x" * 20, "items": 10 * [row]}),
                (REPLIES, BUTTONS | {"actions": 10 * [{"title": "x" * 20}]}),
                (REPLIES, BUTTONS | {"actions": [BUTTON | {"type": "QUICK_REPLY"}]}),
                (MEDIA, {"media": ["https://e.com/{{1}}.png"]}),
            ):
                assert (await d.content(kind, fields))[0] == 201

    run(story())


@pytest.mark.parametrize(
    "variables",
    ["{", "[]", '"x"', '{"1": 2}', '{"1": null}', '{"1": ""}', '{"a-b": "x"}'],
)
def test_variables_are_an_object_of_texts(variables):
    async def story():
        async with desk() as d:
            sid = d.api.template("Hello {{1}}")
            code = await d.refused(ContentSid=sid, ContentVariables=variables)
            assert code == 21656

    run(story())


def test_variable_has_a_limit_of_its_own():
    async def story():
        async with desk() as d:
            sid = d.api.template("Hello {{1}}")
            values = f'{{"1":"{"x" * 1_601}"}}'
            assert await d.refused(ContentSid=sid, ContentVariables=values) == 21658

    run(story())


def test_content_goes_without_a_body_and_without_media():
    async def story():
        async with desk() as d:
            sid = d.api.template("Hello")
            assert await d.refused(ContentSid=sid, Body="Hello") == 20001
            url = "https://e.com/a.png"
            assert await d.refused(ContentSid=sid, MediaUrl=url) == 20001

    run(story())


def test_variables_are_filled_in_and_samples_stand_in_for_them():
    async def story():
        async with desk() as d:
            sid = d.api.template("{{name}}: {{ day }}.", {"name": "Noa", "day": "Mo"})
            _, body = await d.send(ContentSid=sid, ContentVariables='{"day":"Tu"}')
            assert body["body"] == "Noa: Tu."
            seen = await d.writer.next()
            assert (seen.body, seen.shown.kind) == ("Noa: Tu.", "twilio/text")

    run(story())


@pytest.mark.parametrize(
    ("kind", "fields", "values", "code"),
    [
        (LIST, ROWS, "{}", 63028),
        (LIST, ROWS, '{"1":"Tu","2":"We"}', 63028),
        (LIST, ROWS, f'{{"1":"{"x" * 25}"}}', 63021),
        (LIST, ROWS, '{"1":"Mo 9:00"}', 63021),
        (LIST, ROWS | {"items": [ROW, ROW | {"item": "Tu"}]}, "{}", 63021),
        (REPLIES, BUTTONS | {"actions": 2 * [BUTTON]}, "{}", 63021),
        (REPLIES, BUTTONS | {"actions": [{"title": x} for x in "abcd"]}, "{}", 63021),
    ],
)
def test_content_that_does_not_fit_fails_later(kind, fields, values, code):
    async def story():
        async with desk() as d:
            _, made = await d.content(kind, fields)
            status, body = await d.send(ContentSid=made["sid"], ContentVariables=values)
            assert status == 201
            await d.api.settle()
            _, found = await d.ask("GET", body["uri"])
            assert (found["status"], found["error_code"]) == ("failed", code)

    run(story())


def test_template_that_its_variables_make_too_long_fails_later():
    async def story():
        async with desk() as d:
            sid = d.api.template("Hello {{1}}")
            for chars, status in ((1_018, "read"), (1_019, "failed")):
                values = f'{{"1":"{"x" * chars}"}}'
                _, body = await d.send(ContentSid=sid, ContentVariables=values)
                await d.api.settle()
                _, found = await d.ask("GET", body["uri"])
                assert found["status"] == status
            assert found["error_code"] == 63021

    run(story())


def test_row_and_button_are_shown_as_choices():
    async def story():
        async with desk() as d:
            _, times = await d.content(LIST, ROWS)
            await d.send(ContentSid=times["sid"], ContentVariables='{"1":"Tu 10:00"}')
            shown = (await d.writer.next()).shown
            assert (shown.body, shown.button) == ("When?", "Times")
            assert shown.choices == (
                Choice("s1", "Mo 9:00", "with Noa"),
                Choice("s2", "Tu 10:00"),
            )
            fields = copy.deepcopy(BUTTONS)
            del fields["actions"][0]["id"]
            _, confirm = await d.content(REPLIES, fields)
            await d.send(ContentSid=confirm["sid"])
            shown = (await d.writer.next()).shown
            assert shown.choices == (Choice("Yes", "Yes"), Choice("no", "No"))

    run(story())


def test_the_most_complex_type_is_what_whatsapp_is_given():
    async def story():
        async with desk() as d:
            types = {LIST: ROWS, "twilio/text": {"body": "When? Write to us."}}
            body = {"language": "en", "types": types, "variables": {"1": "Tu"}}
            _, made = await d.ask("POST", "/v1/Content", json=body)
            await d.send(ContentSid=made["sid"])
            assert (await d.writer.next()).shown.kind == LIST

    run(story())


def test_approval_is_asked_for_and_given():
    async def story():
        async with desk(writes=False) as d:
            _, made = await d.content("twilio/text", {"body": "See you tomorrow."})
            path = f"/v1/Content/{made['sid']}/ApprovalRequests"
            assert (await d.ask("GET", path))[1]["whatsapp"] == {}
            wish = {"name": "reminder_en", "category": "UTILITY"}
            for wrong in ({}, wish | {"name": "Reminder"}, wish | {"category": "ADS"}):
                found = await d.ask("POST", f"{path}/whatsapp", json=wrong)
                assert found[1]["code"] == 20001
            status, found = await d.ask("POST", f"{path}/whatsapp", json=wish)
            assert (status, found["status"], found["name"]) == (
                *(201, "received", "reminder_en"),
            )
            d.api.approve(made["sid"])
            _, found = await d.ask("GET", path)
            assert found["whatsapp"]["status"] == "approved"

            _, times = await d.content(LIST, ROWS)
            path = f"/v1/Content/{times['sid']}/ApprovalRequests/whatsapp"
            assert (await d.ask("POST", path, json=wish))[1]["code"] == 20001
            with pytest.raises(ValueError, match="cannot be approved"):
                d.api.approve(times["sid"])

    run(story())
