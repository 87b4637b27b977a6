"""A business as a file: read, checked with the field named, and written back."""

from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from bridge.business.bookable import Staff
from bridge.business.tenant_file import (
    Closure,
    TenantError,
    TenantFile,
    check_numbers,
    from_business,
    read,
    to_business,
    write,
)
from bridge.settings.options import CallOptions
from crm.businesses import Hours, Service

ID = UUID(int=1)
DEFAULTS = CallOptions()
WHOLE = TenantFile(
    name="מספרת דנה",
    language="he",
    country="IL",
    time_zone="Asia/Jerusalem",
    numbers=("+15551230000",),
    greeting="שלום",
    fallback_sentence="Sorry.",
    required_fields=("name", "first_visit"),
    prompt='Offer "coffee".\nNever \\ tea.\n',
    settings={"openai_voice": "cedar", "snr_start_normal": 9.0, "audio_agc": True},
    hours={"sunday": ("09:00-13:00", "14:00-18:30"), "friday": ("22:00-02:00",)},
    closures=(
        Closure(date(2026, 12, 24), date(2026, 12, 26), "Feast"),
        Closure(date(2027, 1, 1)),
    ),
    services=(Service("Cut", 30), Service("Color", 90, 10, "250 ₪", "#336699")),
    staff=(
        Staff(name="Anna", colour="#aa0000", hours={"monday": ("09:00-12:00",)}),
        Staff(
            name="Ben",
            services=("Color",),
            active=False,
            days_off=(
                Closure(date(2026, 12, 1), date(2026, 12, 4), "Course"),
                Closure(date(2026, 12, 10)),
            ),
        ),
    ),
)
BARE = TenantFile(name="Shop")


@pytest.mark.parametrize("file", [WHOLE, BARE], ids=["whole", "bare"])
@pytest.mark.parametrize("is_json", [False, True], ids=["toml", "json"])
def test_what_is_written_is_read_back(file, is_json):
    assert read(write(file, is_json=is_json).encode(), is_json=is_json) == file


@pytest.mark.parametrize("file", [WHOLE, BARE], ids=["whole", "bare"])
def test_business_and_file_say_the_same(file):
    assert from_business(to_business(file, ID, DEFAULTS)) == file


def test_hours_are_minutes_and_may_pass_midnight():
    hours = to_business(WHOLE, ID, DEFAULTS).hours

    assert hours == (Hours(0, 540, 780), Hours(0, 840, 1110), Hours(5, 1320, 1560))
    whole_day = TenantFile(name="x", hours={"monday": ("00:00-24:00",)})
    assert to_business(whole_day, ID, DEFAULTS).hours == (Hours(1, 0, 1440),)
    assert from_business(to_business(whole_day, ID, DEFAULTS)) == whole_day


def test_names_are_kept_tidy():
    file = of(name=" Dana\u00a0Salon\u200f", services=(Service("Cut  short ", 30),))
    business = to_business(file, ID, DEFAULTS)

    assert business.name == "Dana Salon\u200f"
    assert business.services == (Service("Cut short", 30),)


def test_settings_of_calls_and_of_messages_stand_together():
    given = {"WHATSAPP": "on", "OPENAI_VOICE": "cedar", "quiet_hours": "off"}
    file = TenantFile(name="x", settings=given)

    assert to_business(file, ID, DEFAULTS).settings == {
        "whatsapp": True,
        "openai_voice": "cedar",
        "quiet_hours": "off",
    }


def test_faults_of_both_kinds_are_named_together():
    with pytest.raises(TenantError) as error:
        to_business(of(settings={"whatsapp": 7, "openai_voice": "x"}), ID, DEFAULTS)

    assert "WHATSAPP=7" in str(error.value)
    assert "OPENAI_VOICE='x'" in str(error.value)


def test_settings_are_kept_typed_by_their_field():
    given = TenantFile(name="x", settings={"OPENAI_VOICE": "cedar", "AUDIO_AGC": "on"})
    business = to_business(given, ID, DEFAULTS)

    assert business.settings == {"openai_voice": "cedar", "audio_agc": True}


def of(**changes):
    return TenantFile(**{"name": "Shop", **changes})


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (of(name=" "), "name=' ': expected a name"),
        (of(name="a\nb"), "name='a\\nb': expected a name"),
        (of(language="eng"), "language='eng': expected the two letters"),
        (of(language="xx"), "language='xx': expected the two letters of a language"),
        (of(country="us"), "country='us': expected a country"),
        (of(country="XX"), "country='XX': expected a country such as US or IL"),
        (of(time_zone="America"), "time_zone='America': expected a zone"),
        (of(time_zone=""), "time_zone='': expected a zone"),
        (of(prompt="a\0"), "prompt: expected text"),
        (of(greeting="a\x1b[2J"), "greeting: expected text, got the character '\\x1b'"),
        (of(fallback_sentence="a\x0b"), "fallback_sentence: expected text"),
        (of(fallback_sentence="a\ud83d"), "fallback_sentence: expected text"),
        (
            of(closures=(Closure(date(2026, 2, 2), None, "a\x07"),)),
            "closures: 2026-02-02: reason: expected text",
        ),
        (of(numbers=("0501234567",)), "numbers: '0501234567': expected an intern"),
        (of(numbers=("+15551230000",) * 2), "numbers: '+15551230000' stands there"),
        (of(required_fields=("first name",)), "required_fields: 'first name'"),
        (of(required_fields=("a", "a")), "required_fields: 'a' stands there twice"),
        (of(settings={"openai_voice": "fable"}), "settings: OPENAI_VOICE='fable'"),
        (of(settings={"colour": 1}), "settings: colour=1: there is no such setting"),
        (of(settings={"quiet_hours": "late"}), "settings: QUIET_HOURS='late'"),
        (of(settings={"whatsap": "on"}), "no such setting: is WHATSAPP meant?"),
        (of(settings={"snr_stop_normal": 20}), "settings: SNR_STOP_NORMAL=20"),
        (of(settings={"openai_voice": ["cedar"]}), "settings: OPENAI_VOICE=['cedar']"),
        (of(hours={"monday": ("9-5",)}), "hours.monday: '9-5': expected hours"),
        (of(hours={"monday": ("09:60-17:00",)}), "hours.monday: '09:60-17:00'"),
        (of(hours={"monday": ("09:00-24:01",)}), "hours.monday: '09:00-24:01'"),
        (of(hours={"monday": ("24:00-09:00",)}), "hours.monday: '24:00-09:00'"),
        (of(hours={"monday": ("09:00-09:00",)}), "hours.monday: '09:00-09:00'"),
        (of(hours={"funday": ()}), "hours.funday: expected a day such as monday"),
        (
            of(hours={"mon-fri": ("09:00-17:00",), "Friday": ("09:00-13:00",)}),
            "hours.Friday: friday stands there twice",
        ),
        (
            of(hours={"monday": ("12:00-15:00", "09:00-13:00")}),
            "hours.monday: spans overlap",
        ),
        (
            of(closures=(Closure(date(2026, 2, 2), date(2026, 2, 1)),)),
            "closures: 2026-02-02: until 2026-02-01 is before it",
        ),
        (of(closures=(Closure(date(2026, 2, 2)),) * 2), "closures: '2026-02-02'"),
        (
            of(staff=(Staff(name="A", days_off=(Closure(date(2026, 2, 2)),) * 2),)),
            "staff: 'A': days_off: '2026-02-02' stands there twice",
        ),
        (
            of(
                staff=(
                    Staff(
                        name="A",
                        days_off=tuple(
                            Closure(date(2026, 1, 1) + timedelta(days=day))
                            for day in range(101)
                        ),
                    ),
                )
            ),
            "staff: 'A': days_off: expected 100 at most",
        ),
        (of(services=(Service("", 30),)), "services: '': expected a name"),
        (of(services=(Service("Cut", 4),)), "services: 'Cut': minutes=4"),
        (of(services=(Service("Cut", 30, -1),)), "services: 'Cut': buffer_minutes=-1"),
        (of(services=(Service("Cut", 30),) * 2), "services: 'Cut' stands there"),
        (
            of(services=(Service("Men\u2019s", 30), Service(" men's", 45))),
            "services: \" men's\" stands there twice, as 'Men\u2019s'",
        ),
        (of(services=(Service("Cut\n", 30),)), "services: 'Cut\\n': expected a name"),
        (
            of(services=(Service("Cut", 30, price="80\n90"),)),
            "services: 'Cut': price='80\\n90': expected a line of 40",
        ),
        (
            of(services=(Service("Cut", 30, colour="red"),)),
            "services: 'Cut': colour='red': expected a colour such as #336699",
        ),
        (of(staff=(Staff(name=""),)), "staff: '': expected a name"),
        (of(staff=(Staff(name="A"), Staff(name="a"))), "staff: 'a' stands there twice"),
        (of(staff=(Staff(name="A", colour="#12"),)), "staff: 'A': colour='#12'"),
        (
            of(
                services=(Service("Cut", 30),),
                staff=(Staff(name="A", services=("X",)),),
            ),
            "staff: 'A': services: 'X': expected one of Cut",
        ),
        (
            of(staff=(Staff(name="A", hours={"monday": ("9-5",)}),)),
            "staff: 'A': hours.monday: '9-5': expected hours",
        ),
        (
            of(staff=tuple(Staff(name=f"A{at}") for at in range(51))),
            "staff: expected 50 people at most",
        ),
    ],
)
def test_wrong_field_is_named(file, words):
    with pytest.raises(TenantError) as refused:
        to_business(file, ID, DEFAULTS)

    assert words in str(refused.value)


def test_setting_that_contradicts_the_processs_own_is_refused():
    wrong = of(settings={"snr_stop_normal": 7.0})

    assert to_business(wrong, ID, DEFAULTS).settings == {"snr_stop_normal": 7.0}
    with pytest.raises(TenantError, match="SNR_STOP_NORMAL=7: expected at most"):
        to_business(wrong, ID, CallOptions(snr_start_normal=6.0))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name = ", "invalid value"),
        (b"name = 1", "name: expected `str`, got `int`"),
        (b'name = "x"\ncolour = 1', "object contains unknown field `colour`"),
        (b'language = "en"', "object missing required field `name`"),
        (b'name = "x"\n[[services]]\nname = "y"', "services[0]: object missing"),
        (
            b'name = "x"\n[[services]]\nname = "y"\nminutes = 30\nbuffer = 5',
            "services[0]: object contains unknown field `buffer`",
        ),
        (b"\xff", "utf-8"),
    ],
)
def test_file_that_is_no_business_says_where(data, words):
    with pytest.raises(TenantError) as refused:
        read(data, is_json=False)

    assert words in str(refused.value)


@pytest.mark.parametrize("number", ["+15550100", "+1202555012", "+120255501234"])
def test_a_number_that_no_telephone_can_have_is_refused_unless_it_is_kept(number):
    with pytest.raises(TenantError) as refused:
        check_numbers(("+12025550123", number))
    assert str(refused.value).startswith(f"numbers: '{number}': expected an intern")
    check_numbers(("+12025550123", number), known=(number,))


def test_prompt_that_the_model_would_refuse_is_refused_when_saved():
    words = "every dish of the menu with its price and what goes with it "
    long = TenantFile(name="Salon", prompt=words * 2_000)
    with pytest.raises(TenantError, match=r"prompt: .* may be \d+ tokens long"):
        to_business(long, uuid4(), CallOptions())

    to_business(TenantFile(name="Salon", prompt=words * 500), uuid4(), CallOptions())
