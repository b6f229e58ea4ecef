"""Orders in which all pictures are shown: by name, by date, by how far each is from all others, by likeness."""

import re

import numpy as np
from jaxtyping import Float, Int

from jaxembed.core.errors import InputError
from jaxembed.embed.sources import Album, Pictures
from jaxembed.embed.vectors import Vectors
from jaxembed.kernels import nearest, outliers, rounding, space

# Nearest others from which an outlier is far, and pictures among which these are searched.
NEIGHBOURS, SAMPLE = 10, 10_000
# Rows that are compared at a time.
_BLOCK = 1024


class Orders:
    """Sorts the rows, when it is first asked to.

    Attributes:
      kinds: the orders that there are, besides that by likeness.
    """

    def __init__(self, embedded: Vectors, originals: Album | None) -> None:
        """Store what is sorted; only pictures in a folder have dates, and of two none is an outlier."""
        self.embedded, self.count = embedded, len(embedded.names)
        self.folder = originals if isinstance(originals, Pictures) else None
        self.kinds = {"name": self._by_name}
        self.kinds |= {"date": self._by_date} if self.folder else {}
        self.kinds |= {"outliers": self._by_remoteness} if self.count > 2 else {}
        self._made: dict[str, np.ndarray] = {}

    def by(self, kind: str) -> Int[np.ndarray, " n"]:
        """Return the rows in the order of one of `kinds`, int32."""
        if kind not in self._made:
            self._made[kind] = np.asarray(self.kinds[kind](), np.int32)
        return self._made[kind]

    def by_likeness(self, row: int) -> Int[np.ndarray, " n"]:
        """Return the rows in the order of their distance from one, which comes first, int32."""
        place = self._places(slice(row, row + 1))
        starts = range(0, self.count, _BLOCK)
        blocks = (self._places(slice(start, start + _BLOCK)) for start in starts)
        apart = np.concatenate([rounding.by_differences(place, block)[0] for block in blocks])
        apart[row] = -1
        return np.argsort(apart, kind="stable").astype(np.int32)

    def _by_name(self) -> list[int]:
        """As people count: 2.jpg before 10.jpg."""
        names = [re.split(r"([0-9]{1,18})", name.casefold()) for name in self.embedded.names]
        keys = [[int(part) if odd % 2 else part for odd, part in enumerate(parts)] for parts in names]
        return sorted(range(self.count), key=keys.__getitem__)

    def _by_date(self) -> Int[np.ndarray, " n"]:
        """The newest first; those whose file is gone last."""
        return np.argsort([-self._date(name) for name in self.embedded.names], kind="stable")

    def _date(self, name: str) -> float:
        try:
            return self.folder.file(name).stat().st_mtime
        except (OSError, ValueError, InputError):  # moved since it was embedded, or a name that is none
            return -np.inf

    def _by_remoteness(self) -> Int[np.ndarray, " n"]:
        """The farthest from its nearest others first, as the doctor ranks them; of very many, others in a sample.

        Source: Sugiyama & Borgwardt 2013, "Rapid distance-based outlier detection via sampling".
        """
        sample = np.arange(self.count)
        if self.count > SAMPLE:
            sample = np.sort(np.random.default_rng(0).choice(self.count, SAMPLE, replace=False))
        others = self._places(sample)
        blocks = np.array_split(np.arange(self.count), -(-self.count // _BLOCK))
        apart = np.concatenate([self._apart(rows, sample, others) for rows in blocks])
        return np.argsort(-outliers.remoteness(apart), kind="stable")

    def _apart(
        self, rows: Int[np.ndarray, " b"], sample: Int[np.ndarray, " m"], others: Float[np.ndarray, "m d"]
    ) -> Float[np.ndarray, "b k"]:
        """Measure the distances of some rows from their nearest others in the sample."""
        points = self._places(rows)
        found = nearest.find(others, points, neighbours=min(NEIGHBOURS + 1, len(others)), distance="euclidean")
        apart = np.sort(np.linalg.norm(others[found] - points[:, None], axis=2), axis=1)
        return np.where(np.isin(rows, sample)[:, None], apart[:, 1:], apart[:, :-1])  # a row is not its neighbour

    def _places(self, rows: slice | Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """Return rows in the space of their distance."""
        points = np.asarray(self.embedded.embeddings[rows])
        return space.directions(points) if self.embedded.about.distance == "cosine" else points
