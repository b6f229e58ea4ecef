"""Typesetting: the pages of a PDF and their contents, with headings, tables and figures numbered in order."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO
from xml.sax import saxutils

from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Table
from reportlab.platypus.tableofcontents import TableOfContents

from jaxembed import pictures
from jaxembed.core import files
from jaxembed.figures import fonts, names, style
from jaxembed.report.comparison import Picture

MARGIN, GAP = 18 * mm, 6  # around a page, and between two columns of it
WIDTH = A4[0] - 2 * MARGIN
HEIGHT = 190 * mm  # of a figure at most: leaves room for headings above it and a caption below
# Points a pixel: the text in a figure that has the page's width becomes as large as that of its caption.
SCALE = 0.75 * 72 / style.DPI

FONT, BOLD, MONO = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono"
FAMILY = (FONT, BOLD, f"{FONT}-Oblique", f"{FONT}-BoldOblique")
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=13.5, spaceAfter=6, textColor=style.INK)
TITLE = ParagraphStyle("title", TEXT, fontName=BOLD, fontSize=19, leading=25, spaceAfter=8)
HEADINGS = (
    ParagraphStyle("section", TEXT, fontName=BOLD, fontSize=14, leading=18, spaceBefore=16, keepWithNext=1),
    ParagraphStyle("subsection", TEXT, fontName=BOLD, fontSize=10.5, leading=14, spaceBefore=10, keepWithNext=1),
)
CONTENTS = [
    ParagraphStyle("section's line", TEXT, spaceBefore=3, spaceAfter=0),
    ParagraphStyle("subsection's line", TEXT, fontSize=8, leading=11.5, leftIndent=12, spaceAfter=0),
]
BELOW = ParagraphStyle("caption of a figure", TEXT, fontSize=7.5, leading=10.5, spaceBefore=3, spaceAfter=4)
ABOVE = ParagraphStyle("caption of a table", BELOW, spaceBefore=8, keepWithNext=1)
CELL = ParagraphStyle("cell", TEXT, fontSize=7, leading=8.5, spaceAfter=0)
NUMBER = ParagraphStyle("number", CELL, alignment=TA_RIGHT)
ALL = ((0, 0), (-1, -1))
RULED = [
    ("LINEABOVE", (0, 0), (-1, 0), 0.9, style.INK),
    ("LINEBELOW", (0, 0), (-1, 0), 0.5, style.INK),
    ("LINEBELOW", (0, -1), (-1, -1), 0.9, style.INK),
    ("VALIGN", *ALL, "TOP"),
    ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
    *((f"{side}PADDING", *ALL, GAP / 2) for side in ("LEFT", "RIGHT")),
    *((f"{side}PADDING", *ALL, 1.5) for side in ("TOP", "BOTTOM")),
]
BESIDE = [("VALIGN", *ALL, "TOP"), *((f"{side}PADDING", *ALL, 0) for side in ("LEFT", "TOP", "RIGHT"))]


def markup(text: str, limit: int | None = None, *, font: str = FONT) -> str:
    """Write a text of a user as reportlab's markup, which shows it as it is; see `names.written`.

    Letters that the font lacks are set in one that has them, if this machine has one that can be embedded.
    """
    shown = names.written(text, limit, shows=lambda letter: _font_of(letter, font) is not None)
    pieces = []
    for name, letters in itertools.groupby(shown, key=lambda letter: _font_of(letter, font)):
        piece = saxutils.escape("".join(letters))
        # Without a name, it can be bold.
        pieces.append(piece if name == FONT == font else f'<font name="{name}">{piece}</font>')
    return "".join(pieces)


class Story(list[Flowable]):
    """The contents of the pages, from top to bottom; numbers headings, tables and figures in order."""

    def __init__(self, title: str) -> None:
        """Start with the title, plain text."""
        _register_fonts()
        title = names.written(title, 300)
        super().__init__([Paragraph(markup(title), TITLE)])
        self.title, self.numbers, self.tables, self.figures = title, [0], 0, 0

    def heading(self, text: str, level: int = 0) -> None:
        """Add a heading, of a section (level 0) or a subsection (1)."""
        self.numbers = [*self.numbers[:level], self.numbers[level] + 1, 0]
        number = ".".join(map(str, self.numbers[:-1]))
        self.append(Paragraph(f"{number} {markup(text, 100)}", HEADINGS[level]))

    def text(self, markup: str) -> None:
        """Add a paragraph of reportlab's markup."""
        self.append(Paragraph(markup, TEXT))

    def table(self, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int) -> None:
        """Add a table of markup; the columns after the first `texts` are numbers."""
        self.tables += 1
        styles = [CELL if column < texts else NUMBER for column in range(len(head))]
        lines = [[f"<b>{cell}</b>" for cell in head], *rows]
        cells = [[Paragraph(*pair) for pair in zip(line, styles, strict=True)] for line in lines]
        self.append(Paragraph(f"<b>Table {self.tables}:</b> {caption}", ABOVE))
        # A row may name more experiments than a page has room for.
        options = dict(repeatRows=1, splitInRow=1, hAlign="LEFT", spaceAfter=12)
        self.append(Table(cells, _widths(cells), style=RULED, **options))

    def figure(self, *shown: Picture) -> None:
        """Add pictures side by side, each above its caption: one row of a table, which is never split."""
        width = WIDTH / len(shown)
        cells = []
        for picture in shown:
            self.figures += 1
            image = Image(str(picture.file), hAlign="LEFT")
            with pictures.opened(picture.file) as opened:
                across, down = style.size(opened)
            scale = min(SCALE, (width - GAP) / across, HEIGHT / down)
            image.drawWidth, image.drawHeight = scale * across, scale * down
            caption = f"<b>Figure {self.figures}:</b> {markup(picture.title, 200)}. {markup(picture.how)}"
            cells.append([image, Paragraph(caption, ParagraphStyle("beside", BELOW, rightIndent=GAP))])
        self.append(Table([cells], width, style=BESIDE, hAlign="LEFT", spaceBefore=6))

    def contents(self) -> None:
        """Add the table of contents."""
        self.append(TableOfContents(levelStyles=CONTENTS, dotsMinLevel=0))

    def write(self, file: Path) -> None:
        """Write the pages to a file, whole or not at all; the same story makes the same bytes."""
        with files.replacing(file) as stream:
            _Pages(stream, self.title).multiBuild(self)


class _Pages(SimpleDocTemplate):
    """The pages: each has its number, and the outline and the contents lead to the headings."""

    def __init__(self, file: BinaryIO, title: str) -> None:
        # The frame takes the other 6 points.
        margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), MARGIN - 6)
        super().__init__(file, pagesize=A4, title=title, author="jaxembed", lang="en", invariant=1, **margins)

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 (reportlab's name)
        if getattr(flowable, "style", None) in HEADINGS:
            level, text = HEADINGS.index(flowable.style), flowable.getPlainText()
            number = text.partition(" ")[0]
            self.canv.bookmarkPage(number)
            self.canv.addOutlineEntry(text, number, level)
            self.notify("TOCEntry", (level, markup(text), self.page, number))

    def afterPage(self) -> None:  # noqa: N802 (reportlab's name)
        self.canv.setFont(FONT, 7.5)
        self.canv.setFillColor(style.FAINT)
        self.canv.drawRightString(A4[0] - MARGIN, MARGIN / 2, str(self.page))


def _widths(cells: Sequence[Sequence[Paragraph]]) -> list[float]:
    """Divide the page's width as a browser does: words stay whole, longer texts get more of what is left."""
    columns = list(zip(*cells, strict=True))
    # One point more: a text exactly as wide as its cell may be broken.
    wanted = [1 + GAP + max(_length(cell) for cell in column) for column in columns]
    if sum(wanted) <= WIDTH:
        return wanted
    words = [1 + GAP + max(cell.minWidth() for cell in column) for column in columns]
    # A name may be a word too long for the page: then the longest words are broken, so that no others need to be.
    limit = next(limit for limit in range(int(WIDTH), 0, -1) if sum(min(word, limit) for word in words) <= WIDTH)
    least = [min(word, limit) for word in words]
    share = (WIDTH - sum(least)) / (sum(wanted) - sum(least))
    return [narrow + share * (wide - narrow) for wide, narrow in zip(wanted, least, strict=True)]


def _length(cell: Paragraph) -> float:
    return math.fsum(pdfmetrics.stringWidth(frag.text, frag.fontName, frag.fontSize) for frag in cell.frags)


def _font_of(letter: str, font: str) -> str | None:
    """Name the font that a letter is set in: `font`, the pages' own or an installed one; None if none has it."""
    if font == MONO and ord(letter) in fonts.letters(fonts.FOLDER / f"{MONO}.ttf"):
        return MONO
    if fonts.is_own(letter):
        return FONT
    embedded = map(_embedded, fonts.having(letter))
    return next((font.fontName for font in embedded if font and ord(letter) in font.face.charToGlyph), None)


@functools.cache
def _embedded(file: Path) -> TTFont | None:
    """Register an installed font; None if it cannot be embedded."""
    name = f"{file.stem}-installed"
    try:
        font = TTFont(name, str(file))
    except TTFError:
        return None
    pdfmetrics.registerFont(font)
    pdfmetrics.registerFontFamily(name, *[name] * 4)
    return font


def _register_fonts() -> None:
    for font in (*FAMILY, MONO):
        pdfmetrics.registerFont(TTFont(font, str(fonts.FOLDER / f"{font}.ttf")))
    pdfmetrics.registerFontFamily(FONT, *FAMILY)
