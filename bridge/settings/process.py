"""The settings of one process, read once from the environment and `.env`.

A field's name is its variable in lower case. Each wrong or contradictory setting is a
line of a SettingsError, which names the variable, the value and what is allowed. Secret
values are not shown. `bridge.settings.options` has the settings that a business may
override, and `bridge.settings.message_options` more of them.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import msgspec

from bridge.settings.addresses import is_loopback, twilio_url
from bridge.settings.environment import (
    EnvironmentFileError,
    read_dotenv,
    read_environment,
    unknown_names,
)
from bridge.settings.message_options import BOTH, MessageOptions
from bridge.settings.options import (
    CallOptions,
    LanguageTag,
    OptionError,
    SomeOptions,
    Switch,
    describe,
    from_variables,
    read_value,
)
from bridge.settings.prices import VENDOR_PRICES, Prices, read_prices
from bridge.settings.signing import SigningSecrets, by_name
from bridge.settings.value_types import (
    AccountSecrets,
    AccountSid,
    Currency,
    DatabaseUrl,
    Host,
    HostNames,
    HttpUrl,
    KeySecrets,
    LogLevel,
    MailAddress,
    NodeName,
    ProxyUrl,
    Secret,
    Secrets,
    Sentence,
    SmtpTls,
    WsUrl,
    count_of,
)


class SettingsError(ValueError):
    """The service cannot start with these settings.

    Each of `lines` tells the operator of one fault; `settings` has defaults in place of
    the wrong values.
    """

    def __init__(self, *lines: str, settings: "Settings | None" = None) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines
        self.settings = settings or Settings()


SECRETS = frozenset(
    (
        "admin_token",
        "database_admin_url",
        "database_url",
        "https_proxy",
        "oidc_client_secret",
        "openai_api_key",
        "smtp_password",
        "twilio_auth_token",
        "twilio_auth_token_secondary",
        "twilio_shared_keys",
        "twilio_subaccounts",
    )
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the service; `.env.example` explains each of them."""

    host: Host = "127.0.0.1"
    port: Annotated[int, count_of(0, 65_535)] = 8080
    public_url: HttpUrl | None = None
    admin_host: Host = "127.0.0.1"
    admin_port: Annotated[int, count_of(0, 65_535)] = 9464
    admin_token: Secret | None = None
    console: Switch = True
    oidc_issuer: HttpUrl | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: Secret | None = None

    database_url: DatabaseUrl | None = None
    database_admin_url: DatabaseUrl | None = None
    db_pgbouncer: Switch = False
    database_pool_size: Annotated[int, count_of(1, 100)] = 10
    database_timeout_ms: Annotated[int, count_of(100, 60_000, "ms")] = 10_000
    kolbridge_home: str = ".data"
    business_cache_hours: Annotated[int, count_of(0, 168, "hours")] = 24

    twilio_account_sid: AccountSid | None = None
    twilio_auth_token: Secret | None = None
    twilio_auth_token_secondary: Secrets | None = None
    twilio_subaccounts: AccountSecrets | None = None
    twilio_shared_keys: KeySecrets | None = None
    twilio_validate_signatures: Switch = True
    twilio_api_url: HttpUrl = "https://api.twilio.com"

    openai_api_key: Secret | None = None
    openai_realtime_url: WsUrl = "wss://api.openai.com/v1/realtime"
    openai_api_url: HttpUrl = "https://api.openai.com/v1"
    openai_prices: Prices = msgspec.field(default_factory=lambda: VENDOR_PRICES)
    openai_prices_currency: Currency = "USD"

    health_check_minutes: Annotated[int, count_of(0, 1_440, "minutes")] = 60
    notice_allow_hosts: HostNames | None = None
    smtp_host: Host | None = None
    smtp_port: Annotated[int, count_of(1, 65_535)] = 587
    smtp_tls: SmtpTls = "starttls"
    smtp_user: str | None = None
    smtp_password: Secret | None = None
    smtp_from: MailAddress | None = None

    https_proxy: ProxyUrl | None = None
    no_proxy: str | None = None

    workers: Annotated[int, count_of(1, 64)] = 1
    max_calls_per_worker: Annotated[int, count_of(1, 10_000)] = 500
    max_busy_percent: Annotated[int, count_of(1, 100, "percent")] = 88
    lag_budget_ms: Annotated[int, count_of(1, 10_000, "ms")] = 20
    node_name: NodeName | None = None
    node_url: HttpUrl | None = None
    resume: Switch = True
    resume_max: Annotated[int, count_of(1, 20)] = 3
    drain_seconds: Annotated[int, count_of(0, 3_600, "seconds")] = 30
    tool_deadline_ms: Annotated[int, count_of(100, 30_000, "ms")] = 4_000
    fallback_sentence: Sentence | None = None
    fallback_language: LanguageTag = "en"

    log_level: LogLevel = "info"
    log_openai_events: Switch = False
    log_transcripts: Switch = True
    record_dir: str | None = None
    record_audio: Switch = False

    call: CallOptions = CallOptions()
    message: MessageOptions = MessageOptions()

    def __repr__(self) -> str:
        """Show everything but secrets."""
        shown = (
            f"{name}={'***' if name in SECRETS and value else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(shown)})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no log may show."""
        whole = filter(None, (getattr(self, name) for name in sorted(SECRETS)))
        return tuple(dict.fromkeys((*whole, *self.signing_secrets.all)))

    @property
    def signing_secrets(self) -> SigningSecrets:
        """The secrets that Twilio's signatures are checked with."""
        tokens = (
            f"{self.twilio_auth_token or ''},{self.twilio_auth_token_secondary or ''}"
        )
        return SigningSecrets(
            tuple(filter(None, tokens.split(","))),
            by_name(self.twilio_subaccounts or ""),
            by_name(self.twilio_shared_keys or ""),
        )

    @property
    def twilio_content_url(self) -> str:
        """Twilio's Content API, in the region of TWILIO_API_URL."""
        return twilio_url(self.twilio_api_url, "content")

    @property
    def twilio_messaging_url(self) -> str:
        """Twilio's messaging API, in the region of TWILIO_API_URL."""
        return twilio_url(self.twilio_api_url, "messaging")

    @property
    def url_host(self) -> str:
        """`host` as it stands in a URL: an IPv6 address in brackets."""
        name = self.host.strip("[]")
        return f"[{name}]" if ":" in name else name

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


_HINTS: dict[str, Any] = get_type_hints(Settings, include_extras=True)
del _HINTS["call"], _HINTS["message"], _HINTS["openai_prices"]
NAMES = frozenset(name.upper() for name in (*_HINTS, "openai_prices", *BOTH))


def load(env: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Read the settings; the environment overrides the `.env` file.

    An empty value counts as not set. Raises SettingsError with every fault.
    """
    wrong: list[str] = []
    in_file = _in_file(dotenv, wrong)
    given = read_environment(env, in_file)
    values: dict[str, Any] = {}
    for field, hint in _HINTS.items():
        if field.upper() in given:
            try:
                values[field] = _read(field, hint, given[field.upper()])
            except SettingsError as error:
                wrong += error.lines
    values["call"] = _read_options(CallOptions(), given, wrong)
    values["message"] = _read_options(MessageOptions(), given, wrong)
    if "OPENAI_PRICES" in given:
        try:
            values["openai_prices"] = read_prices(given["OPENAI_PRICES"])
        except ValueError as error:
            wrong.append(f"OPENAI_PRICES: {error}")
    settings = Settings(**values)
    wrong += [
        *_check_urls(settings),
        *_check_recording(settings),
        *_check_oidc(settings),
        *_check_mail(settings),
    ]
    if wrong:
        raise SettingsError(*wrong, settings=settings)
    return settings


def warnings_of(env: Mapping[str, str], dotenv: Path | None = None) -> list[str]:
    """Return a line for each name, in the environment or in `.env`, that looks like a
    setting and is none."""
    return list(unknown_names(NAMES, env, _in_file(dotenv, [])))


def missing_of(error: SettingsError) -> list[str]:
    """Return what is missing in addition to what is wrong, as `check_complete` does."""
    wrong = {re.split("[=:]", line)[0] for line in error.lines}
    missing = check_complete(error.settings)
    return [line for line in missing if line.split()[0] not in wrong]


def _in_file(dotenv: Path | None, wrong: list[str]) -> dict[str, str]:
    """Read the file if it exists; add its faults to `wrong`."""
    if dotenv is None or not dotenv.exists():
        return {}
    try:
        return read_dotenv(dotenv)
    except EnvironmentFileError as error:
        wrong += error.lines
        return {}


def _read_options(
    defaults: SomeOptions, given: Mapping[str, str], wrong: list[str]
) -> SomeOptions:
    """Read settings that a business may override; add their faults to `wrong`."""
    try:
        return from_variables(defaults, given)
    except OptionError as error:
        wrong += error.lines
        return defaults


def check_complete(settings: Settings) -> list[str]:
    """Return a line for each missing setting that real calls need, the most important
    first."""
    missing = []
    if not settings.signing_secrets.all and settings.twilio_validate_signatures:
        missing.append(
            "TWILIO_AUTH_TOKEN is not set: expected the account's auth token, "
            "with which Twilio signs (or TWILIO_VALIDATE_SIGNATURES=0 on loopback)"
        )
    is_real = not is_loopback(urlsplit(settings.openai_realtime_url).hostname or "")
    if settings.openai_api_key is None and is_real:
        missing.append("OPENAI_API_KEY is not set: expected a key of the OpenAI API")
    if settings.public_url is None and not settings.is_loopback:
        missing.append(
            "PUBLIC_URL is not set: expected https://name, how Twilio reaches HOST="
            f"{settings.host}"
        )
    return missing


def _read(field: str, hint: Any, text: str) -> Any:
    """Read one variable; `X | None` is read as X, since an empty one is not set."""
    wanted = next((one for one in _choices(hint) if one is not type(None)), hint)
    try:
        return read_value(field, wanted, text)
    except OptionError as error:
        if field in SECRETS:
            allowed = describe(wanted)
            raise SettingsError(f"{field.upper()}: expected {allowed}") from None
        raise SettingsError(str(error)) from None


def _choices(hint: Any) -> tuple[Any, ...]:
    is_optional = type(None) in getattr(hint, "__args__", ())
    return tuple(hint.__args__) if is_optional else (hint,)


def _check_recording(settings: Settings) -> Iterator[str]:
    """Yield an error for recording settings that contradict other settings."""
    if settings.record_audio and settings.record_dir is None:
        yield "RECORD_AUDIO='1': expected RECORD_DIR to be set with it"
    if settings.record_dir is not None and not settings.log_transcripts:
        yield (
            f"RECORD_DIR={settings.record_dir!r}: a recording holds what was said: "
            "expected LOG_TRANSCRIPTS=1 with it"
        )


def _check_mail(settings: Settings) -> Iterator[str]:
    """Yield an error for e-mail without a sender, or in the clear."""
    if settings.smtp_host is None:
        return
    if settings.smtp_from is None:
        yield "SMTP_FROM is not set: expected the sender of e-mails with SMTP_HOST"
    if settings.smtp_tls == "none" and not is_loopback(settings.smtp_host):
        yield (
            "SMTP_TLS='none': expected starttls or tls beyond loopback "
            f"(SMTP_HOST={settings.smtp_host!r})"
        )


def _check_oidc(settings: Settings) -> Iterator[str]:
    """Yield an error if only a part of the provider's settings is there."""
    needed = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
    given = [name for name in needed if getattr(settings, name) is not None]
    if given and len(given) < len(needed):
        missing = ", ".join(name.upper() for name in needed if name not in given)
        yield f"{given[0].upper()}: expected {missing} to be set with it"


def _check_urls(settings: Settings) -> Iterator[str]:
    """Yield an error for each setting that would be unsafe beyond loopback: audio sent
    or calls accepted in the clear."""
    https = {
        "PUBLIC_URL": settings.public_url,
        "NODE_URL": settings.node_url,
        "OIDC_ISSUER": settings.oidc_issuer,
        "TWILIO_API_URL": settings.twilio_api_url,
        "OPENAI_API_URL": settings.openai_api_url,
    }
    for name, url in https.items():
        parts = urlsplit(url or "https:")
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            yield (
                f"{name}={url!r}: expected https://name (http:// only towards loopback)"
            )
    model = urlsplit(settings.openai_realtime_url)
    if model.scheme != "wss" and not is_loopback(model.hostname or ""):
        yield (
            f"OPENAI_REALTIME_URL={settings.openai_realtime_url!r}: expected "
            "wss://name/path (ws:// only towards loopback)"
        )
    if settings.admin_token is None and not is_loopback(settings.admin_host):
        yield (
            f"ADMIN_HOST={settings.admin_host!r}: expected ADMIN_TOKEN to be set with "
            "it, beyond loopback"
        )
    if not settings.twilio_validate_signatures and not settings.is_loopback:
        yield (
            "TWILIO_VALIDATE_SIGNATURES='0': expected 1 while HOST is not loopback "
            f"(HOST={settings.host!r})"
        )
    public_name = urlsplit(settings.public_url or "http://localhost").hostname or ""
    if not settings.twilio_validate_signatures and not is_loopback(public_name):
        yield (
            "TWILIO_VALIDATE_SIGNATURES='0': expected 1 while PUBLIC_URL is not "
            f"loopback (PUBLIC_URL={settings.public_url!r})"
        )
