"""The types of the settings: what a value must look like, and how errors say so."""

from typing import Annotated

from msgspec import Meta


def count_of(low: int, high: int, unit: str = "") -> Meta:
    """Return the rule of a number between two others, both included."""
    of = f" of {unit}" if unit else ""
    return Meta(ge=low, le=high, description=f"a whole number{of} from {low} to {high}")


Host = Annotated[
    str, Meta(pattern=r"^[\w.:\[\]-]+$", description="an address to listen on")
]
HttpUrl = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s?#@]+$", description="https://name[/path], no more"),
]
WsUrl = Annotated[
    str, Meta(pattern=r"^wss?://[^\s#@]+$", description="wss://name/path")
]
# The driver would split any other form, and show parts of a password in its error.
DatabaseUrl = Annotated[
    str,
    Meta(
        pattern=r"^postgres(ql)?://([^\s/?#\[\]]*@)?"
        r"([\w.%-]*|\[[\da-fA-F:.]+\])(:\d+)?"
        r"(,([\w.%-]+|\[[\da-fA-F:.]+\])(:\d+)?)*(/[^\s?#@]*)?(\?\S*)?$",
        description="postgresql://user@host/database (in a password / is %2F, # %23)",
    ),
]
ProxyUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://)?([^\s/@]+@)?[\w.-]+(:\d+)?/?$|"
        r"^(https?://)?([^\s/@]+@)?\[[0-9a-fA-F:.]+\](:\d+)?/?$",
        description="http://[user:password@]host:port, a proxy that knows CONNECT",
    ),
]
AccountSid = Annotated[
    str,
    Meta(pattern="^AC[0-9a-fA-F]{32}$", description="AC and 32 hexadecimal digits"),
]
Secret = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]+$",
        description="one word of ASCII, nothing invisible in it",
    ),
]
Secrets = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x2b\x2d-\x7e]+(,[\x21-\x2b\x2d-\x7e]+)*$",
        description="words with commas between",
    ),
]
# The account stands before its secret: "AC...=token,AC...=token".
AccountSecrets = Annotated[
    str,
    Meta(
        pattern=r"^AC[0-9a-fA-F]{32}=[\x21-\x2b\x2d-\x7e]+"
        r"(,AC[0-9a-fA-F]{32}=[\x21-\x2b\x2d-\x7e]+)*$",
        description="AccountSid=token, with commas between",
    ),
]
KeySecrets = Annotated[
    str,
    Meta(
        pattern=r"^[\w.-]+=[\x21-\x2b\x2d-\x7e]+(,[\w.-]+=[\x21-\x2b\x2d-\x7e]+)*$",
        description="id=secret, with commas between",
    ),
]
Sentence = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1_000,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description="a sentence to be spoken, on one line",
    ),
]
Currency = Annotated[
    str,
    Meta(pattern="^[A-Z]{3}$", description="three letters of a currency, as USD"),
]
NodeName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="1 to 63 of a-z, 0-9 and -, neither first nor last a -",
    ),
]
LogLevel = Annotated[
    str,
    Meta(
        pattern="^(debug|info|warning|error)$",
        description="debug, info, warning or error",
    ),
]
# Names and addresses, with commas between: "localhost,hooks.internal".
HostNames = Annotated[
    str,
    Meta(
        pattern=r"^[\w.:-]+(,[\w.:-]+)*$",
        description="names of hosts with commas between",
    ),
]
SmtpTls = Annotated[
    str,
    Meta(pattern="^(starttls|tls|none)$", description="starttls, tls or none"),
]
# With or without a name: "Dana's Salon <bookings@example.com>".
MailAddress = Annotated[
    str,
    Meta(
        pattern=r"^([^<>\x00-\x1f\x7f]*<[^\s@<>]+@[^\s@<>]+>|[^\s@<>]+@[^\s@<>]+)$",
        description="an e-mail address, as in Name <name@example.com>",
    ),
]
