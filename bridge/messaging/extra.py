"""Whether the extra `whatsapp`, which answers written messages, is installed."""

from importlib.util import find_spec

# openai-agents, by the name that it is imported with; to import it takes a second.
PACKAGE = "agents"
MISSING = "not installed: pip install 'kolbridge[whatsapp]'"


def is_installed(package: str = PACKAGE) -> bool:
    """Tell whether the extra's package can be imported, without importing it."""
    return find_spec(package) is not None
