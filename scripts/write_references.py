"""Write what follows from the code: the pages of settings, metrics and modules,
.env.example, and which settings the Helm chart accepts.

    python scripts/write_references.py            writes them
    python scripts/write_references.py --check    ends with 1 if one is out of date

Settings: names, defaults and ranges come from the types, the descriptions from
settings.toml. Metrics: the families come from a new server, the labels from the code
that increments them. Modules: the descriptions come from their own docstrings.
"""

import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import orjson

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bridge.settings.message_options import MessageOptions  # noqa: E402, the path first
from bridge.settings.options import CallOptions, describe  # noqa: E402
from bridge.settings.prices import PRICES_DATE  # noqa: E402
from bridge.settings.process import NAMES, SECRETS, Settings  # noqa: E402
from scripts.metric_reference import metrics_page  # noqa: E402
from scripts.module_reference import modules_page  # noqa: E402

TEXTS = Path(__file__).with_name("settings.toml")
CHART_SCHEMA = ROOT / "deploy" / "helm" / "kolbridge" / "values.schema.json"
# What the chart sets itself, from values of other names. A secret is no value at all.
OF_CHART = frozenset(
    (
        *("ADMIN_HOST", "ADMIN_PORT", "DRAIN_SECONDS", "HOST", "KOLBRIDGE_HOME"),
        *("MAX_CALL_SECONDS", "NODE_NAME", "NODE_URL", "PORT", "PUBLIC_URL", "WORKERS"),
    )
)
# The container's root is read-only, but for its volumes.
FOLDERS = {"RECORD_DIR": {"type": "string", "pattern": "^/var/lib/kolbridge/.+"}}
GENERATED = "<!-- Written by scripts/write_references.py: change it there. -->"
CONFIGURATION = f"""\
{GENERATED}

# Configuration

`kolbridge` reads its settings from the environment and from the file `.env` in the
folder it is started in. The environment goes before the file. An empty value counts as
not given. `.env.example` holds every setting with its default.

`kolbridge serve` does not start with a wrong setting. It names every wrong variable,
its value and what is allowed. `kolbridge doctor` tries the settings out.

A setting of a section marked **per business** may differ from business to business. The
business's value goes before the environment's. Set it with
`kolbridge tenant set NAME VARIABLE=VALUE`.
"""
OTHER = """
## Other variables

These are not settings of the service. They stand in the environment alone, never in
`.env`.

| Variable | Meaning |
| --- | --- |
"""
ENV_EXAMPLE = """\
# Settings of `kolbridge serve`. Written by scripts/write_references.py.
# Copy this file to .env and fill it in. The environment goes before .env. An empty
# value counts as not given. Quotes, `export` and comments behind a value are read as a
# shell reads them; nothing within a value is replaced. A variable behind # shows its
# default. Each business may override what stands in a part marked (business).
"""


class Setting:
    """One setting: the facts of its type, and its description."""

    def __init__(self, name: str, text: dict[str, str]) -> None:
        kinds = (CallOptions, MessageOptions)
        field = name.lower()
        owner = next((one for one in kinds if field in one.__struct_fields__), None)
        self.name = name
        self.meaning = text["meaning"].format_map({"prices_date": PRICES_DATE})
        self.example = text["example"]
        self.default = getattr(owner() if owner else Settings(), field)
        hints = get_type_hints(owner or Settings, include_extras=True)
        self.hint: Any = hints[field]

    @property
    def default_text(self) -> str:
        """The default in the form of the environment; "" if there is none."""
        if self.default is None or self.name == "OPENAI_PRICES":
            return ""
        if isinstance(self.default, bool):
            word = self.name in ("AUDIO_AGC", "GATE_SCORE")
            return ("off", "on")[self.default] if word else f"{self.default:d}"
        is_float = isinstance(self.default, float)
        return f"{self.default:g}" if is_float else str(self.default)

    @property
    def allowed(self) -> str:
        """The allowed values, in the words of the errors."""
        if self.name == "OPENAI_PRICES":
            return "JSON"
        kinds = getattr(self.hint, "__args__", ())
        wanted = kinds[0] if type(None) in kinds else self.hint
        if wanted is str:
            return "any text"
        return describe(wanted)


class Section:
    """Settings under one heading."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.title: str = text["title"]
        self.intro: str = text.get("intro", "")
        self.is_business: bool = text.get("business", False)
        self.settings = [Setting(name, one) for name, one in text["settings"].items()]


def sections() -> list[Section]:
    """Return every setting, in the order of the pages.

    Raises ValueError if the descriptions and the types have different names.
    """
    texts = tomllib.loads(TEXTS.read_text())["section"]
    named = {name for text in texts for name in text["settings"]}
    if named != NAMES:
        different = ", ".join(sorted(named ^ NAMES))
        raise ValueError(f"in {TEXTS.name} or in the types, not in both: {different}")
    return [Section(text) for text in texts]


def configuration_page() -> str:
    """Return docs/configuration.md."""
    parts = [CONFIGURATION]
    for section in sections():
        mark = " (per business)" if section.is_business else ""
        parts.append(f"\n## {section.title}{mark}\n")
        if section.intro:
            parts.append(f"\n{_wrapped(section.intro)}\n")
        parts += map(_entry, section.settings)
    parts.append(OTHER)
    others = tomllib.loads(TEXTS.read_text())["other"]
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in others.items()]
    return "".join(parts)


def _entry(setting: Setting) -> str:
    default = f"`{setting.default_text}`" if setting.default_text else "not set"
    if setting.name == "OPENAI_PRICES":
        default = "the vendor's prices"
    # An attribute list after the heading makes the variable's name its anchor.
    return (
        f"\n### {setting.name} {{ #{setting.name.lower()} }}\n\n"
        f"{_wrapped(setting.meaning)}\n\n"
        f"- Default: {default}\n"
        f"- Allowed: {setting.allowed}\n"
        f"- Example: `{setting.name}={setting.example}`\n"
    )


def env_example() -> str:
    """Return .env.example."""
    parts = [ENV_EXAMPLE]
    for section in sections():
        mark = " (business)" if section.is_business else ""
        parts.append(f"\n# --- {section.title}{mark} ---\n")
        if section.intro:
            parts.append(_comment(section.intro))
        for setting in section.settings:
            parts += _example_of(setting)
    return "".join(parts)


def _example_of(setting: Setting) -> Iterator[str]:
    yield _comment(setting.meaning)
    if setting.name == "OPENAI_PRICES":
        yield f"# The form:\n# {setting.name}={setting.example}\n"
    elif setting.default_text:
        yield f"# {setting.name}={setting.default_text}\n"
    else:
        yield f"{setting.name}=\n"


def chart_schema() -> str:
    """Return the schema of the chart's values, with the settings that they may have."""
    schema = orjson.loads(CHART_SCHEMA.read_bytes())
    names = NAMES - OF_CHART - {name.upper() for name in SECRETS}
    schema["properties"]["settings"]["properties"] = {
        name: FOLDERS.get(name, {"type": "string"}) for name in sorted(names)
    }
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 88, break_long_words=False, break_on_hyphens=False)


def _comment(text: str) -> str:
    return textwrap.indent(_wrapped(text), "# ") + "\n"


def references() -> dict[Path, str]:
    """Return what each generated file should hold."""
    return {
        ROOT / "docs" / "configuration.md": configuration_page(),
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / "docs" / "modules.md": modules_page(),
        ROOT / ".env.example": env_example(),
        CHART_SCHEMA: chart_schema(),
    }


def main() -> int:
    """Write the files, or compare them."""
    is_check = "--check" in sys.argv[1:]
    stale = {
        path: text
        for path, text in references().items()
        if not path.exists() or path.read_text() != text
    }
    for path, text in stale.items():
        name = path.relative_to(ROOT)
        if is_check:
            print(f"{name} is out of date: python scripts/write_references.py")
        else:
            path.write_text(text)
            print(f"{name} is written")
    return 1 if is_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
