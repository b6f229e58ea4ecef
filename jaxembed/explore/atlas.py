"""The atlas: the maps of the pictures, and what colours them: class, cluster, folder, date, split, or a column."""

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.core import files
from jaxembed.embed import naming
from jaxembed.embed.sources import Album, Pictures
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import clusters, dates, paint
from jaxembed.explore.paint import Paint

# A column of numbers or dates with more different values than this has a continuous scale.
DISTINCT = 12


class Map(NamedTuple):
    """A map of all pictures.

    Attributes:
      title: what it is a map of.
      positions: where each picture is; NaN for one that is not on it.
    """

    title: str
    positions: Float[np.ndarray, "n 2"]


class Atlas:
    """Colours the maps.

    Attributes:
      maps: one, or two of the same pictures side by side.
      kinds: what colours them: a name -> what makes its colours.
    """

    def __init__(
        self,
        embedded: Vectors,
        originals: Album | None,
        *,
        second: Map | None = None,
        columns: Mapping[str, Sequence[str]] | None = None,
        words: Callable[..., dict[int, str]] | None = None,
    ) -> None:
        """Store what there is.

        Args:
          embedded: the embeddings.
          originals: their pictures; None if there are none. Only those of files have dates.
          second: a second map.
          columns: columns of a CSV, a text for each picture.
          words: what names clusters, from the embeddings and the cluster of each; None without words.
        """
        self.embedded, self.words = embedded, words
        self.maps = [Map(files.printable(embedded.about.encoder), np.asarray(embedded.positions, np.float32))]
        self.maps += [second] if second else []
        self.labels = [files.printable(label) for label in embedded.labels]
        self.folders = _folders(embedded.names)
        splits = naming.splits(embedded.names) if embedded.names else None
        texts = {"class": self.labels, "folder": self.folders, "split": splits or []}
        self.kinds: dict[str, Callable[[], Paint]] = {
            kind: functools.partial(self._by_texts, values)
            for kind, values in texts.items()
            if len(set(values)) > 1
        }
        self.is_quick = bool(self.kinds)
        self.kinds |= {"cluster": self._by_cluster} if len(embedded.names) > 2 else {}
        if isinstance(originals, Pictures):
            self.kinds["date"] = functools.partial(self._by_date, originals)
        for title, values in (columns or {}).items():
            kind = f"{title} (CSV)" if title in self.kinds else title
            self.kinds[kind] = functools.partial(self._by_column, values)
        self._made: dict[str, Paint] = {}

    def first(self) -> Paint:
        """Return the colours that the page begins with: of the first kind that takes no time, or a single one."""
        return self.by(next(iter(self.kinds))) if self.is_quick else paint.plain(len(self.labels))

    def by(self, kind: str) -> Paint:
        """Return the colours of one of `kinds`; they are made once."""
        if kind not in self._made:
            self._made[kind] = self.kinds[kind]()
        return self._made[kind]

    def answer(self, kind: str) -> dict[str, Any]:
        """Return the colours of one of `kinds` as the page takes them."""
        made = self.by(kind)
        return made._asdict() | {"codes": made.codes.tolist()}

    def _by_texts(self, texts: Sequence[str]) -> Paint:
        names, codes = np.unique(np.array(texts, object), return_inverse=True)
        return self._categories(codes, names.tolist())

    def _by_cluster(self) -> Paint:
        distance = self.embedded.about.distance
        codes = clusters.assign(self.embedded.embeddings, distance=distance)
        words = self.words(self.embedded.embeddings, codes) if self.words else {}
        return self._categories(codes, clusters.name(codes, [self.labels, self.folders], words))

    def _by_date(self, folder: Pictures) -> Paint:
        return paint.scale(dates.taken(folder, self.embedded.names), _date)

    def _by_column(self, texts: Sequence[str]) -> Paint:
        for parse, write in ((float, _number), (_seconds, _date)):
            try:
                values = np.array([parse(text) if text else np.nan for text in texts])
            except ValueError:
                continue
            if np.isinf(values).any() or len(set(values[~np.isnan(values)].tolist())) <= DISTINCT:
                break
            return paint.scale(values, write)
        return self._by_texts([files.printable(text) for text in texts])

    def _categories(self, codes: Int[np.ndarray, " n"], names: Sequence[str]) -> Paint:
        return paint.categories(codes, names, [each.positions for each in self.maps])


def _folders(names: Sequence[str]) -> list[str]:
    """Return the folder of each picture, without those that all of them share."""
    skipped = len(naming.shared(names)) if names else 0
    return [files.printable("/".join(Path(name).parts[skipped:-1])) for name in names]


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _number(value: float, _: float) -> str:
    return f"{value:g}"


def _date(seconds: float, span: float) -> str:
    """Write a date, with its time if all of them are within three days."""
    date = datetime.datetime.fromtimestamp(seconds)
    return date.isoformat(" ", "minutes") if span < 3 * 86400 else date.date().isoformat()
