"""Fonts: which installed ones have the letters that the figures' own font lacks."""

import functools
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font, LoadFlags

FAMILY = "DejaVu Sans"
FOLDER = Path(matplotlib.get_data_path(), "fonts", "ttf")
# Names may be bold.
OWN = (FOLDER / "DejaVuSans.ttf", FOLDER / "DejaVuSans-Bold.ttf")


def shows(letter: str) -> bool:
    """Return whether a figure can show a letter, by its own font or an installed one."""
    return is_own(letter) or next(having(letter), None) is not None


def is_own(letter: str) -> bool:
    """Return whether the figures' own font has a letter."""
    return all(ord(letter) in letters(file) for file in OWN)


def families(text: str) -> list[str]:
    """List the families that a text needs, in the order in which they are tried for each letter."""
    found = (next(having(letter), None) for letter in sorted(set(text)) if not is_own(letter))
    return [FAMILY, *map(_family, dict.fromkeys(file for file in found if file))]


def having(letter: str) -> Iterator[Path]:
    """Go through the installed fonts that have a letter, from the one with the most letters."""
    return (file for file in installed() if _draws(file, letter))


@functools.cache
def installed() -> tuple[Path, ...]:
    """List the fonts of this machine that can be scaled, from the one with the most letters."""
    sizes = {}
    for name in sorted(font_manager.findSystemFonts()):
        try:
            font = FT2Font(name)
        except (OSError, RuntimeError):  # no font, or of a kind that FreeType cannot read
            continue
        # Last Resort has boxes in place of letters.
        if font.scalable and "lastresort" not in font.family_name.replace(" ", "").casefold():
            sizes[Path(name)] = font.num_glyphs
    return tuple(sorted(sizes, key=sizes.__getitem__, reverse=True))


@functools.cache
def letters(file: Path) -> frozenset[int]:
    """List the code points that a font has a glyph for."""
    return frozenset(font_manager.get_font(str(file)).get_charmap())


@functools.cache
def _draws(file: Path, letter: str) -> bool:
    """Whether a font has a glyph with an outline: some have empty ones, for other programs to fill."""
    font = font_manager.get_font(str(file))
    if not font.get_char_index(ord(letter)):
        return False
    font.load_char(ord(letter), LoadFlags.NO_HINTING)
    return len(font.get_path()[0]) > 0


@functools.cache
def _family(file: Path) -> str:
    """Return a font's family, which matplotlib knows from now on, even if it was installed a moment ago."""
    family = FT2Font(str(file)).family_name
    if family not in font_manager.get_font_names():
        font_manager.fontManager.addfont(str(file))
    return family
