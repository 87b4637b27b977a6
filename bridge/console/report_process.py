"""A process of its own that prints: a Paper as JSON on its input, a PDF on its output.

Reading the fonts and shaping the letters takes a second or more of a processor, which
no call may wait for.
"""

import os
import sys
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TypeVar

import msgspec
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace, TTFFont

from bridge.console.paper import Paper, Table, Text

FONTS = Path(__file__).parent / "fonts"
NICENESS = 10
# The sizes in which a report is tried to fit on one page; else it takes several.
SIZES_PT = (9.0, 8.0, 7.0)
SIZE_MANY_PT = 8.0
_FAMILY = "report"
_MARGIN_MM = 12.0
_FOOTER_MM = 5.0
# A line's height, in mm for each point of its letters: 1.35 of 0.353 mm.
_LINE_MM = 0.476
_RULES_GREY = 200
_TITLE_SCALE = 1.6
_PART_SCALE = 1.15
Cell = TypeVar("Cell", str, int)
# A row must fit on a page, which has 62 lines of the largest letters. The narrowest
# column of long texts holds 27 of the widest of them.
ROW_CHARS_MAX = 1_000
ROW_LINES_MAX = 20
_HEADINGS = FontFace(emphasis="BOLD")


class _Sheet(FPDF):
    """A4 pages with the fonts; from the second on each has its number."""

    def __init__(self, paper: Paper) -> None:
        super().__init__(format="A4")
        self.add_font(_FAMILY, "", FONTS / "DejaVuSans.ttf")
        self.add_font(_FAMILY, "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_margin(_MARGIN_MM)
        self.set_auto_page_break(True, _MARGIN_MM + _FOOTER_MM)
        # Each text has the direction of its first letter.
        self.set_text_shaping(True)
        self.set_title(paper.title)
        self.set_lang(paper.language)

    def close_fonts(self) -> None:
        """Close the files of the fonts, which are read while letters are printed."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def footer(self) -> None:
        if self.page_no() > 1:
            self.set_y(-_MARGIN_MM)
            self.set_font(_FAMILY, "", 7)
            self.cell(0, _FOOTER_MM, str(self.page_no()), align="C")


class _Printer:
    """Prints a paper in letters of one size."""

    def __init__(self, paper: Paper, size_pt: float) -> None:
        self._paper = paper
        self._size_pt = size_pt
        self._start = "R" if paper.is_right_to_left else "L"
        self.sheet = _Sheet(paper)
        self.sheet.add_page()

    def print(self) -> None:
        self._line(self._paper.title, _TITLE_SCALE, "B")
        self._line(self._paper.subtitle)
        for part in self._paper.parts:
            # A title stands on the page of its first lines.
            if self.sheet.will_page_break(6 * self._size_pt * _LINE_MM):
                self.sheet.add_page()
            self.sheet.ln(self._size_pt * _LINE_MM / 2)
            self._line(part.title, _PART_SCALE, "B")
            if isinstance(part, Text):
                self._text(part.text)
            elif part.rows:
                self._table(part)

    def _line(self, text: str, scale: float = 1.0, style: str = "") -> None:
        size_pt = self._size_pt * scale
        self.sheet.set_font(_FAMILY, style, size_pt)
        self.sheet.multi_cell(
            0,
            size_pt * _LINE_MM,
            text,
            align=self._start,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
        )

    def _text(self, text: str) -> None:
        """Print a text whose lines may be of several languages."""
        for line in text.splitlines():
            if line.strip():
                self._line(line)
            else:
                self.sheet.ln(self._size_pt * _LINE_MM / 2)

    def _table(self, part: Table) -> None:
        self.sheet.set_font(_FAMILY, "", self._size_pt)
        self.sheet.set_draw_color(_RULES_GREY)
        with self.sheet.table(
            col_widths=self._turned(part.widths),
            text_align=self._start,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            line_height=self._size_pt * _LINE_MM,
            headings_style=_HEADINGS,
            first_row_as_headings=bool(part.head),
            padding=(0.4, 1),
        ) as table:
            for cells in (part.head, *part.rows) if part.head else part.rows:
                for pieces in zip_longest(*map(pieces_of, cells), fillvalue=""):
                    row = table.row()
                    for piece in self._turned(pieces):
                        row.cell(piece)

    def _turned(self, columns: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """Return columns in the order in which they stand from the left."""
        return columns[::-1] if self._paper.is_right_to_left else columns


def pieces_of(text: str) -> list[str]:
    """Return a cell's text in pieces, each for a row that fits on a page."""
    pieces, count = [""], 0
    for line in text.splitlines():
        for part in wrap(line, ROW_CHARS_MAX, replace_whitespace=False) or [""]:
            is_full = len(pieces[-1]) + len(part) > ROW_CHARS_MAX
            if count and (is_full or count >= ROW_LINES_MAX):
                pieces.append("")
                count = 0
            pieces[-1] += f"\n{part}" if count else part
            count += 1
    return pieces


def pdf_of(paper: Paper) -> bytes:
    """Return a PDF, of one page if it fits in letters that can be read."""
    for size_pt in SIZES_PT:
        pages, pdf = _printed(paper, size_pt)
        if pages == 1:
            return pdf
        if pages > 2:
            break
    return _printed(paper, SIZE_MANY_PT)[1]


def _printed(paper: Paper, size_pt: float) -> tuple[int, bytes]:
    """Return the number of pages, and the PDF."""
    printer = _Printer(paper, size_pt)
    try:
        printer.print()
        return printer.sheet.pages_count, bytes(printer.sheet.output())
    finally:
        printer.sheet.close_fonts()


def main() -> int:
    """Print what stands on the standard input."""
    os.nice(NICENESS)
    paper = msgspec.json.decode(sys.stdin.buffer.read(), type=Paper)
    sys.stdout.buffer.write(pdf_of(paper))
    return 0


if __name__ == "__main__":
    sys.exit(main())
