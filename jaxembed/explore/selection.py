"""A selection of the map, as the texts of files: its names, the full paths of its pictures, and a table."""

import csv
import io
from collections.abc import Iterator, Sequence

from jaxembed.artifacts import diagnosis
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed.sources import Album, Pictures
from jaxembed.embed.vectors import Vectors

# What each text is called, and the file that it is saved as.
NAMES, PATHS, TABLE = ("names", "selection.txt"), ("paths", "paths.txt"), ("CSV", "selection.csv")


class Selection:
    """Writes the texts of some rows."""

    def __init__(self, embedded: Vectors, originals: Album | None) -> None:
        """Store what is written; only pictures in a folder have paths."""
        self.embedded = embedded
        self.folder = originals if isinstance(originals, Pictures) else None
        self.kinds = (NAMES, PATHS, TABLE) if self.folder else (NAMES, TABLE)

    def texts(self, rows: Sequence[int]) -> list[str]:
        """Write the text of each of `kinds`; a picture that is not inside the folder has no path."""
        paths = list(self._paths(rows))
        names = [_shown(self.embedded.names[row]) for row in rows]
        lines = {NAMES: names, PATHS: [path for path in paths if path]}
        return [
            self._table(rows, paths) if kind == TABLE else "".join(f"{line}\n" for line in lines[kind])
            for kind in self.kinds
        ]

    def _paths(self, rows: Sequence[int]) -> Iterator[str]:
        for row in rows:
            try:
                yield _shown(str(self.folder.file(self.embedded.names[row]).absolute())) if self.folder else ""
            except InputError:  # the file of vectors may be a stranger's
                yield ""

    def _table(self, rows: Sequence[int], paths: Sequence[str]) -> str:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "name", "label", *(["path"] if self.folder else [])])
        for row, path in zip(rows, paths, strict=True):
            texts = (self.embedded.names[row], self.embedded.labels[row], *([path] if self.folder else []))
            writer.writerow([row, *(diagnosis.cell(_shown(text)) for text in texts)])
        return stream.getvalue()


def _shown(text: str) -> str:
    return files.utf8(files.printable(text))
