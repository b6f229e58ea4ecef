"""Names: a user's text as a figure or a document shows it, on one line, and no longer than there is room for."""

import textwrap
import unicodedata
from collections.abc import Callable, Iterable

from jaxembed.figures import fonts

ELLIPSIS = "…"


def written(text: str, limit: int | None = None, *, shows: Callable[[str], bool] = str.isprintable) -> str:
    r"""Write a text on one line, as it is.

    Args:
      text: a user's text: a name, or the value of an option.
      limit: how many columns there is room for; beyond that, the middle gives way to an ellipsis, because names
        that are alike at the start may differ at the end.
      shows: whether a letter can be shown; others, and those that cannot be printed, are written as escapes, `\n`.
    """
    parts = [part if part.isprintable() and shows(part) else _escape(part) for part in text]
    if limit is None or columns(parts) <= limit:
        return "".join(parts)
    head = _first(parts, limit * 2 // 3)
    tail = _first(parts[::-1], limit - 1 - columns(head))
    return "".join([*head, ELLIPSIS, *tail[::-1]])


def drawn(text: str, limit: int | None = None) -> str:
    """Write a text as `written`, for a figure: letters that no font on this machine has are escaped as well."""
    return written(text, limit, shows=fonts.shows)


def wrapped(text: str, width: int) -> str:
    """Break a text of one line into lines of at most `width` columns, between words where it can be."""
    narrow = len(text) / max(1, columns(text))
    return textwrap.fill(text, max(1, int(width * min(1, narrow))))


def listed(texts: Iterable[str], most: int) -> str:
    """Join texts by commas, and count those beyond the first `most`."""
    texts = list(texts)
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def columns(text: Iterable[str]) -> int:
    """Count the columns that a text takes where every letter has the same width: Chinese ones have twice that."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for part in text for letter in part)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def _first(parts: list[str], limit: int) -> list[str]:
    """Take the parts that fit into `limit` columns."""
    taken = 0
    for index, part in enumerate(parts):
        taken += columns(part)
        if taken > limit:
            return parts[:index]
    return parts
