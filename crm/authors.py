"""Who made a change: a call, a message, a person by hand, or the command line."""

from typing import Literal, NamedTuple

# "" where an older version wrote the row.
Source = Literal["", "call", "message", "hand", "command"]


class By(NamedTuple):
    """The author of a change: `who` is a call_sid, a MessageSid or a user's name."""

    source: Source = ""
    who: str = ""


NOBODY = By()
COMMAND_LINE = By("command")
