import pytest

from bridge.sandbox.twiml import Stream, Verb, parse

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
GOOD = (
    f'{HEAD}<Response><Connect action="https://b.example.com/after">'
    '<Stream url="wss://b.example.com/media" statusCallback="https://b.example.com/s">'
    '<Parameter name="token" value="t"/><Parameter name="from" value="+15550100001"/>'
    "</Stream></Connect><Say language='en-US'> Sorry. </Say><Hangup/></Response>"
)


def problems(body: str, content_type: str = "text/xml") -> list[str]:
    return parse(body.encode(), content_type).problems


def in_stream(inside: str = "", **attributes: str) -> str:
    attributes = {"url": "wss://b.example.com/media"} | attributes
    written = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return (
        f"<Response><Connect><Stream {written}>{inside}</Stream></Connect></Response>"
    )


def test_a_document_is_its_verbs_in_order():
    document = parse(GOOD.encode(), "text/xml; charset=utf-8")
    assert document.problems == []
    assert document.verbs == [
        Stream(
            "wss://b.example.com/media",
            {"token": "t", "from": "+15550100001"},
            "https://b.example.com/s",
            "https://b.example.com/after",
        ),
        Verb("Say", {"language": "en-US"}, "Sorry."),
        Verb("Hangup", {}, ""),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<Response>", "12100"),
        ("<response/>", "12200"),
        ("<Response><Speak/></Response>", "12200"),
        ("<Response><Stream url='wss://x'/></Response>", "12200"),
        ("<Response><Say tone='warm'>Hi</Say></Response>", "12200"),
        ("<Response><Say> </Say></Response>", "13520"),
        (f"<Response><Say>{'x' * 4_097}</Say></Response>", "13521"),
        (f"<Response><Say voice='Polly.A'>{'x' * 3_001}</Say></Response>", "13521"),
        (f"<Response><Say>{'א' * 751}</Say></Response>", "13521"),
        (f"<Response><Say>{'/' * 1_501}</Say></Response>", "13521"),
        ("<Response><Connect/></Response>", "12200"),
        ("<Response><Connect><Room/></Connect></Response>", "12200"),
        (in_stream("<Say>x</Say>"), "12200"),
        (in_stream("<Parameter value='x'/>"), "12200"),
        (in_stream(f"<Parameter name='n' value='{'x' * 499}'/>"), "31920"),
        (in_stream(url="https://b.example.com/media"), "31922"),
        (in_stream(url="ws://b.example.com/media"), "31922"),
        (in_stream(url="wss://b.example.com/media?token=t"), "31920"),
        (in_stream(track="both_tracks"), "31941"),
        (in_stream(audioFormat="pcm"), "12200"),
    ],
)
def test_what_twilio_would_refuse_is_a_problem(body: str, code: str):
    assert problems(body)[0].startswith(code)


def test_a_parameter_of_499_characters_is_accepted():
    assert problems(in_stream(f"<Parameter name='n' value='{'x' * 498}'/>")) == []


def test_the_content_type_must_be_xml():
    assert problems("<Response/>", "application/xml") == []
    assert problems("<Response/>", "text/html")[0].startswith("12300")


def test_plain_websockets_are_allowed_towards_loopback_only_if_asked():
    body = in_stream(url="ws://127.0.0.1:8080/media").encode()
    assert parse(body, "text/xml", allow_ws=True).problems == []
    assert parse(body, "text/xml").problems
    body = in_stream(url="ws://b.example.com/media").encode()
    assert parse(body, "text/xml", allow_ws=True).problems
