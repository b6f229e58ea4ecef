"""A selection of the map, as files: its names, the full paths of its pictures, a table, and its vectors."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxembed.artifacts import diagnosis
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import vectors
from jaxembed.embed.sources import Album, Pictures
from jaxembed.embed.vectors import Spool, Vectors

# What each text is called, and the file that it is saved as.
NAMES, PATHS, TABLE = ("names", "selection.txt"), ("paths", "paths.txt"), ("CSV", "selection.csv")
# Vectors that are copied at a time.
_BLOCK = 4096


class Selection:
    """Writes some rows."""

    def __init__(self, embedded: Vectors, originals: Album | None) -> None:
        """Store what is written; only pictures in a folder have paths."""
        self.embedded = embedded
        self.folder = originals if isinstance(originals, Pictures) else None
        self.kinds = (NAMES, PATHS, TABLE) if self.folder else (NAMES, TABLE)

    def texts(self, rows: Sequence[int]) -> list[str]:
        """Write the text of each of `kinds`; a picture that is not inside the folder has no path."""
        paths = list(self._paths(rows))
        names = [files.printable(self.embedded.names[row]) for row in rows]
        lines = {NAMES: names, PATHS: [path for path in paths if path]}
        return [
            self._table(rows, paths) if kind == TABLE else "".join(f"{line}\n" for line in lines[kind])
            for kind in self.kinds
        ]

    def write_vectors(self, rows: Sequence[int], file: Path) -> None:
        """Write the vectors of some rows as an .npz, with the origin that all of them have, in bounded memory."""
        embedded = self.embedded
        with Spool(file.parent, embedded.embeddings.shape[1]) as spool:
            for start in range(0, len(rows), _BLOCK):
                some = rows[start : start + _BLOCK]
                names, labels = ([texts[row] for row in some] for texts in (embedded.names, embedded.labels))
                spool.add(names, labels, embedded.embeddings[some])
            vectors.write_npz(spool.vectors(embedded.about), file)

    def _paths(self, rows: Sequence[int]) -> Iterator[str]:
        for row in rows:
            try:
                yield files.printable(self.folder.file(self.embedded.names[row]).absolute()) if self.folder else ""
            except InputError:  # the file of vectors may be a stranger's
                yield ""

    def _table(self, rows: Sequence[int], paths: Sequence[str]) -> str:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "name", "label", *(["path"] if self.folder else [])])
        for row, path in zip(rows, paths, strict=True):
            texts = (self.embedded.names[row], self.embedded.labels[row], *([path] if self.folder else []))
            writer.writerow([row, *(diagnosis.cell(files.printable(text)) for text in texts)])
        return stream.getvalue()
