"""A selection as texts: names, full paths, a table."""

import csv
import io

from jaxembed.embed.sources import Pictures
from jaxembed.explore.selection import NAMES, TABLE, Selection


def test_a_selection_has_full_paths_and_a_table_without_formulas(photos, embedded, monkeypatch):
    names = [*embedded.names[:-2], "../outside.png", "=1+1.png"]
    monkeypatch.chdir(photos.parent)  # a path in full, whatever folder was given
    strange = embedded._replace(names=names)
    rows = [0, names.index("a\nb.png"), len(names) - 2, len(names) - 1]
    text, paths, table = Selection(strange, Pictures(photos.relative_to(photos.parent))).texts(rows)
    assert text.splitlines() == ["00.png", "a\\nb.png", "../outside.png", "=1+1.png"]
    assert paths.splitlines() == [f"{photos}/{name}" for name in ("00.png", "a\\nb.png", "=1+1.png")]
    _, first, _, outside, formula = csv.reader(io.StringIO(table))
    assert first == ["0", "00.png", "0", f"{photos}/00.png"]
    assert (outside[1], outside[3], formula[1]) == ("../outside.png", "", "'=1+1.png")


def test_a_selection_without_a_folder_has_no_paths(embedded):
    selection = Selection(embedded, None)
    assert selection.kinds == (NAMES, TABLE)
    assert selection.texts([3])[1].splitlines() == ["row,name,label", "3,03.png,0"]
