"""What is printed: titles, tables and texts, in the language of whoever asked for it.

`report_process` makes a PDF of it in a process of its own, which knows no page and no
catalogue.
"""

import msgspec


class Table(msgspec.Struct, frozen=True, tag=True):
    """Rows under a title; `widths` are shares of the page's width."""

    title: str
    widths: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()


class Text(msgspec.Struct, frozen=True, tag=True):
    """A text under a title; its lines are kept."""

    title: str
    text: str


class Paper(msgspec.Struct, frozen=True):
    """A document; in a language from right to left its columns are, too."""

    language: str
    is_right_to_left: bool
    title: str
    subtitle: str
    parts: tuple[Table | Text, ...]
