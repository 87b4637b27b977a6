"""Settings from the environment and `.env`: what is refused, and in which words."""

import pathlib
import re

import pytest

from bridge.settings.environment import read_dotenv
from bridge.settings.message_options import BOTH
from bridge.settings.options import VOICES, CallOptions
from bridge.settings.prices import VENDOR_PRICES, Price
from bridge.settings.process import (
    Settings,
    SettingsError,
    check_complete,
    load,
    missing_of,
    warnings_of,
)

ROOT = pathlib.Path(__file__).parents[3]
SID = "AC" + "0" * 32


def test_nothing_given_means_the_defaults():
    assert load({}) == Settings()


def test_variables_are_fields_in_upper_case():
    settings = load(
        {
            "HOST": "127.0.0.2",
            "PORT": "9000",
            "PUBLIC_URL": "https://bridge.example",
            "TWILIO_ACCOUNT_SID": SID,
            "LOG_OPENAI_EVENTS": "1",
            "LOG_TRANSCRIPTS": "off",
            "OPENAI_VOICE": "marin",
            "AUDIO_AGC": "on",
            "SNR_START_NORMAL": "7.5",
            "HOME": "not ours",
        }
    )

    assert settings == Settings(
        host="127.0.0.2",
        port=9000,
        public_url="https://bridge.example",
        twilio_account_sid=SID,
        log_openai_events=True,
        log_transcripts=False,
        call=CallOptions(openai_voice="marin", audio_agc=True, snr_start_normal=7.5),
    )


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PORT", "eighty", "a whole number from 0 to 65535"),
        ("PORT", "70000", "a whole number from 0 to 65535"),
        ("WORKERS", "0", "a whole number from 1 to 64"),
        ("LOG_TRANSCRIPTS", "perhaps", "on or off"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("PUBLIC_URL", "bridge.example", "https://name"),
        ("PUBLIC_URL", "https://u:p@bridge.example", "https://name"),
        ("PUBLIC_URL", "http://bridge.example", "only towards loopback"),
        ("NODE_URL", "http://node-1.example", "only towards loopback"),
        ("TWILIO_API_URL", "http://api.example", "only towards loopback"),
        ("NODE_NAME", "Node_1", "of a-z, 0-9 and -"),
        ("OPENAI_REALTIME_URL", "https://api.example/v1", "wss://name/path"),
        ("OPENAI_REALTIME_URL", "ws://api.example/v1", "only towards loopback"),
        ("TWILIO_ACCOUNT_SID", "AC12", "AC and 32 hexadecimal digits"),
        ("OPENAI_VOICE", "fable", ", ".join(VOICES)),
        ("TURN_DETECTION", "magic", "server_vad, semantic_vad or gate"),
        ("SNR_STOP_NORMAL", "20", "at most"),
        ("DRAIN_SECONDS", "-1", "a whole number of seconds from 0 to 3600"),
    ],
)
def test_wrong_value_is_one_line_with_variable_value_and_what_may_be(
    variable, value, allowed
):
    with pytest.raises(SettingsError) as raised:
        load({variable: value})

    text = str(raised.value)
    assert text.startswith(f"{variable}=")
    assert value in text
    assert allowed in text
    assert "\n" not in text


def test_sentence_that_no_document_can_hold_is_refused():
    with pytest.raises(SettingsError, match=r"expected a sentence .* on one line"):
        load({"FALLBACK_SENTENCE": "Sorry\x1b[2J"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("DATABASE_URL", "postgresql://u:hun/ter2@db:5432/x"),
        ("DATABASE_URL", "postgresql://u:hun:ter2#x@db:5432/x"),
        ("DATABASE_URL", "postgresql://u:hun[ter2@db:5432/x"),
        ("TWILIO_AUTH_TOKEN", "two words"),
        ("OPENAI_API_KEY", "sk-ключ"),
        ("TWILIO_AUTH_TOKEN_SECONDARY", "a,,b"),
        ("TWILIO_SUBACCOUNTS", "AC12=token"),
        ("TWILIO_SHARED_KEYS", "no-secret-here"),
    ],
)
def test_wrong_secret_is_named_and_not_shown(variable, value):
    with pytest.raises(SettingsError) as raised:
        load({variable: value})

    assert str(raised.value).startswith(f"{variable}: expected ")
    assert value not in str(raised.value)


def test_unsigned_webhooks_are_taken_on_loopback_only():
    assert not load({"TWILIO_VALIDATE_SIGNATURES": "0"}).twilio_validate_signatures
    with pytest.raises(SettingsError, match="TWILIO_VALIDATE_SIGNATURES='0'"):
        load({"TWILIO_VALIDATE_SIGNATURES": "0", "HOST": "0.0.0.0"})


def test_unsigned_webhooks_are_taken_under_no_public_name():
    for public_url in ("https://bridge.example", "https://10.0.0.1"):
        with pytest.raises(SettingsError, match="while PUBLIC_URL is not loopback"):
            load({"TWILIO_VALIDATE_SIGNATURES": "0", "PUBLIC_URL": public_url})
    for public_url in ("http://127.0.0.1:8080", "https://localhost", "http://[::1]:1"):
        load({"TWILIO_VALIDATE_SIGNATURES": "0", "PUBLIC_URL": public_url})


def test_signing_secrets_are_several_and_none_is_shown():
    sub, key = "AC" + "a" * 32, "webhooks_sharedkey_1"
    settings = load(
        {
            "TWILIO_AUTH_TOKEN": "new-hidden",
            "TWILIO_AUTH_TOKEN_SECONDARY": "old-hidden,older-hidden",
            "TWILIO_SUBACCOUNTS": f"{sub}=sub-hidden",
            "TWILIO_SHARED_KEYS": f"{key}=key-hidden=,{key}=key2-hidden",
        }
    )

    secrets = settings.signing_secrets
    assert secrets.auth_tokens == ("new-hidden", "old-hidden", "older-hidden")
    assert secrets.subaccounts == {sub: ("sub-hidden",)}
    assert secrets.shared_keys == {key: ("key-hidden=", "key2-hidden")}
    assert set(secrets.all) < set(settings.secrets)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_plain_websocket_and_http_are_taken_towards_loopback(host):
    settings = load(
        {
            "OPENAI_REALTIME_URL": f"ws://{host}:9999/v1/realtime",
            "PUBLIC_URL": f"http://{host}:8080",
        }
    )

    assert settings.openai_realtime_url == f"ws://{host}:9999/v1/realtime"


def test_empty_value_counts_as_not_given(tmp_path):
    (tmp_path / ".env").write_text("PORT=\nHOST=127.0.0.3\n")

    assert load({"PORT": " ", "HOST": ""}, tmp_path / ".env") == Settings(
        host="127.0.0.3"
    )


def test_environment_goes_before_the_file(tmp_path):
    (tmp_path / ".env").write_text("PORT=1\nHOST=127.0.0.3\n")

    assert load({"PORT": "2"}, tmp_path / ".env") == Settings(port=2, host="127.0.0.3")
    assert load({}, tmp_path / "none") == Settings()


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    path = tmp_path / ".env"
    path.write_text("TURN_DETECTION=magic\nno assignment\n")
    env = {
        "PORT": "x",
        "OPENAI_VOICE": "fable",
        "SNR_START_NORMAL": "loud",
        "SNR_STOP_MUSIC": "20",
        "OPENAI_API_KEY": "two words",
        "OPENAI_PRICES": "x",
        "PUBLIC_URL": "http://bridge.example",
        "RECORD_AUDIO": "1",
    }
    with pytest.raises(SettingsError) as raised:
        load(env, path)

    told = [re.split("[=:]", line)[0] for line in raised.value.lines[1:]]
    assert raised.value.lines[0].startswith(f"{path}:2: expected NAME=value")
    assert sorted(told) == sorted(env)


def test_what_is_missing_is_told_beside_what_is_wrong():
    with pytest.raises(SettingsError) as raised:
        load({"PORT": "x", "OPENAI_API_KEY": "two words"})

    (line,) = missing_of(raised.value)
    assert line.startswith("TWILIO_AUTH_TOKEN is not set")

    with pytest.raises(SettingsError) as raised:
        load({"TWILIO_AUTH_TOKEN_SECONDARY": "two words"})
    assert missing_of(raised.value)[0].startswith("TWILIO_AUTH_TOKEN is not set")


def test_unknown_name_is_told_with_the_nearest(tmp_path):
    path = tmp_path / ".env"
    path.write_text("OPENAI_APIKEY=sk-x\nSNR_START=8\nCOLOUR=red\nPORT=9000\n")
    env = {
        "TWILIO_AUTHTOKEN": "x",
        "KOLBRIDGE_DIR": "x",
        "OPENAI_API_BASE": "another's",
        "HOSTNAME": "x",
        "https_proxy": "http://proxy:1",
    }

    assert warnings_of(env, path) == [
        "COLOUR is no setting and is ignored",
        "KOLBRIDGE_DIR is no setting and is ignored: is KOLBRIDGE_HOME meant?",
        "OPENAI_APIKEY is no setting and is ignored: is OPENAI_API_KEY meant?",
        "SNR_START is no setting and is ignored: is SNR_START_MUSIC meant?",
        "TWILIO_AUTHTOKEN is no setting and is ignored: is TWILIO_AUTH_TOKEN meant?",
    ]
    assert warnings_of({}, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("HTTPS_PROXY", "http://u:p@proxy.example:3128", True),
        ("https_proxy", "proxy.example:3128", True),
        ("HTTPS_PROXY", "http://[::1]:3128/", True),
        ("HTTPS_PROXY", "socks5://proxy.example:1080", False),
        ("HTTPS_PROXY", "http://proxy.example:3128/path", False),
    ],
)
def test_proxy_is_one_that_knows_connect(name, value, kept):
    if kept:
        assert load({name: value}).https_proxy == value
    else:
        with pytest.raises(SettingsError, match="HTTPS_PROXY: expected http://") as no:
            load({name: value})
        assert value not in str(no.value)


def test_service_needs_token_key_and_public_url():
    missing = check_complete(Settings(host="0.0.0.0"))

    assert [line.split()[0] for line in missing] == [
        "TWILIO_AUTH_TOKEN",
        "OPENAI_API_KEY",
        "PUBLIC_URL",
    ]


def test_service_on_loopback_towards_a_sandbox_needs_nothing():
    settings = Settings(
        twilio_validate_signatures=False,
        openai_realtime_url="ws://127.0.0.1:9/v1/realtime",
    )

    assert check_complete(settings) == []


def test_secrets_are_not_shown():
    settings = Settings(
        openai_api_key="sk-hidden",
        twilio_auth_token="hidden",
        database_url="postgresql://u:hidden@h/d",
    )

    assert "hidden" not in repr(settings)
    assert "openai_api_key=***" in repr(settings)
    assert sorted(settings.secrets) == [
        "hidden",
        "postgresql://u:hidden@h/d",
        "sk-hidden",
    ]


def test_sound_is_kept_only_where_recordings_are():
    with pytest.raises(SettingsError, match="RECORD_AUDIO='1': expected RECORD_DIR"):
        load({"RECORD_AUDIO": "1"})

    settings = load({"RECORD_AUDIO": "1", "RECORD_DIR": "calls"})
    assert (settings.record_dir, settings.record_audio) == ("calls", True)


def test_recordings_contradict_keeping_speech_out_of_the_logs():
    with pytest.raises(SettingsError, match="expected LOG_TRANSCRIPTS=1"):
        load({"RECORD_DIR": "calls", "LOG_TRANSCRIPTS": "0"})


def test_example_shows_every_variable_once_with_its_default(tmp_path):
    text = (ROOT / ".env.example").read_text()
    names = re.findall("^(?:# )?([A-Z_]+)=", text, re.MULTILINE)
    fields = {*Settings.__struct_fields__, *BOTH} - {"call", "message"}
    taken = tmp_path / ".env"
    taken.write_text(re.sub("^# (?=(?!OPENAI_PRICES)[A-Z_]+=)", "", text, flags=re.M))

    assert sorted(names) == sorted(name.upper() for name in fields)
    assert read_dotenv(taken).keys() & {"PORT", "SNR_START_NORMAL", "BOOKING_DAYS_MAX"}
    assert load({}, taken) == Settings()


def test_example_says_what_a_business_may_override():
    parts = re.split("^# ---", (ROOT / ".env.example").read_text(), flags=re.M)
    names = re.findall(
        "^(?:# )?([A-Z_]+)=", "".join(p for p in parts if "(business)" in p[:80]), re.M
    )

    assert sorted(names) == sorted(map(str.upper, BOTH))


def test_prices_are_a_table_in_one_variable():
    table = '{"m":{"audio_in":32,"audio_out":64}}'
    settings = load({"OPENAI_PRICES": table})

    assert settings.openai_prices == {"m": Price(audio_in=32, audio_out=64)}
    assert load({}).openai_prices == VENDOR_PRICES
    with pytest.raises(SettingsError, match=r"OPENAI_PRICES: expected .* got `str`"):
        load({"OPENAI_PRICES": '{"m":{"audio_in":"x"}}'})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h/d",
        "postgres://u:p%2Fq@h.example:5432/d?sslmode=require",
        "postgresql://u:p@ss@h/d",
        "postgresql://u:p@[::1]:5432/d",
        "postgresql://u:p@h1:1,h2:2/d",
        "postgresql:///d?host=/tmp/x",
        "postgresql://%2Ftmp%2Fx/d",
    ],
)
def test_urls_that_the_driver_takes_are_taken(url):
    assert load({"DATABASE_URL": url}).database_url == url
