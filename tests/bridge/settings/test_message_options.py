"""The settings of written conversations: their texts are checked, and read."""

import pytest

from bridge.settings.message_options import MessageOptions, apart, message_options
from bridge.settings.options import CallOptions, OptionError, merge

SID, OTHER = "HX" + "0123456789abcdef" * 2, "HX" + "F" * 32


def test_a_template_is_found_by_purpose_and_language():
    text = f"reminder.en={SID}, reminder.he={OTHER},missed_call.en={OTHER}"
    options = merge(MessageOptions(), {"WHATSAPP_TEMPLATES": text})

    assert options.template_of("reminder", "en") == SID
    assert options.template_of("reminder", "he") == OTHER
    assert options.template_of("missed_call", "en") == OTHER
    assert options.template_of("missed_call", "he") is None
    assert MessageOptions().template_of("reminder", "en") is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WHATSAPP_TEMPLATES", f"reminder={SID}", "purpose.language=HX… with commas"),
        ("WHATSAPP_TEMPLATES", f"birthday.en={SID}", "purposes reminder, missed_call"),
        ("WHATSAPP_TEMPLATES", "reminder.en=HX12", "as reminder.en=HX0123"),
        ("WHATSAPP_TEMPLATES", f"reminder.en={SID};", "with commas between"),
        ("WHATSAPP_TEMPLATES", f"reminder.en={SID}\n", None),
        (
            "WHATSAPP_TEMPLATES",
            f"reminder.en={SID},reminder.en={OTHER}",
            "expected reminder.en once",
        ),
        ("QUIET_HOURS", "21:00", "two times of day such as 21:00-08:00, or off"),
        ("QUIET_HOURS", "21:00-24:00", "two times of day"),
        ("QUIET_HOURS", "9:00-10:00", "two times of day"),
        ("QUIET_HOURS", "08:00-08:00", "two different times, or off"),
        ("WHATSAPP", "maybe", "on or off"),
        ("MESSAGE_HISTORY_MAX", "1", "from 2 to 500"),
        ("MESSAGE_HISTORY_TOKENS", "many", "from 500 to 100000"),
        ("WHATSAP_MODEL", "x", "no such setting: is WHATSAPP_MODEL meant?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, value, words):
    if words is None:
        # Spaces around a value are no part of it.
        assert merge(MessageOptions(), {name: value}).template_of("reminder", "en")
        return
    with pytest.raises(OptionError) as error:
        merge(MessageOptions(), {name: value})

    assert str(error.value).startswith(f"{name}={value!r}: ")
    assert words in str(error.value)


def test_a_business_has_settings_of_both_kinds():
    given = {"WHATSAPP": "on", "openai_voice": "cedar", "quiet_hour": "off"}

    calls, messages = apart({**given, "colour": 1})

    assert calls == {"openai_voice": "cedar", "colour": 1}
    # A slip of the pen goes to the kind that knows the name that was meant.
    assert messages == {"WHATSAPP": "on", "quiet_hour": "off"}


def test_a_wrong_setting_of_a_business_takes_no_other_with_it():
    options, wrong = message_options(
        MessageOptions(),
        {"whatsapp": True, "quiet_hours": "late", "caller_trust": "no"},
    )

    assert options == MessageOptions(whatsapp=True)
    assert len(wrong) == 1
    assert wrong[0].startswith("QUIET_HOURS='late'")


def test_no_name_is_a_setting_of_both_kinds():
    of_calls, of_messages = CallOptions, MessageOptions

    assert not {*of_calls.__struct_fields__} & {*of_messages.__struct_fields__}
