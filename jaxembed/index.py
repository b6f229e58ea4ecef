"""Indexes: the rows that are nearest to a query, exactly or, among more than a million, approximately."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.errors import InputError
from jaxembed.kernels import pairs

# More rows than these are searched by an approximate index.
EXACT = 1_000_000
# Rows compared at a time, and queries among all rows.
_BLOCK, _QUERIES = 65_536, 256


class Found(NamedTuple):
    """The k rows that are nearest to each of q queries, nearest first, and their distances."""

    rows: Int[np.ndarray, "q k"]
    distances: Float[np.ndarray, "q k"]


class Exact:
    """Exact search by matrix products, a block of rows at a time; nothing is copied."""

    def __init__(self, points: Float[np.ndarray, "n d"], *, distance: str) -> None:
        """Measure the rows' lengths.

        Args:
          points: [n, d] float32, which may be in a file.
          distance: "cosine", in which rows are compared on the unit sphere, or "euclidean".
        """
        self.points, self.distance = points, distance
        squares = [np.einsum("nd,nd->n", block, block) for _, block in self._blocks()]
        self.squares = np.concatenate(squares) if squares else np.zeros(0, np.float32)
        self.scales = 1 / np.maximum(np.sqrt(self.squares), 1e-12)

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Found:
        """Find the k nearest rows of each query, at most as many as there are."""
        parts = [self._search(queries[i : i + _QUERIES], k) for i in range(0, len(queries), _QUERIES)]
        return Found(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _search(self, queries: np.ndarray, k: int) -> Found:
        best_rows = np.zeros((len(queries), 0), int)
        best = np.zeros((len(queries), 0), np.float32)
        for start, block in self._blocks():
            # Less is nearer: -cosine up to the query's length, or the squared distance up to its square.
            products = queries @ block.T
            rows = slice(start, start + len(block))
            if self.distance == "cosine":
                nearness = -products * self.scales[None, rows]
            else:
                nearness = self.squares[None, rows] - 2 * products
            kept = min(k, len(block))
            among = np.argpartition(nearness, kept - 1, axis=1)[:, :kept]
            best_rows = np.concatenate([best_rows, among + start], axis=1)
            best = np.concatenate([best, np.take_along_axis(nearness, among, axis=1)], axis=1)
            kept = np.argpartition(best, min(k, best.shape[1]) - 1, axis=1)[:, :k]
            best_rows, best = (np.take_along_axis(each, kept, axis=1) for each in (best_rows, best))
        return _ordered(self.points, queries, best_rows, distance=self.distance)

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.points), _BLOCK):
            yield start, np.asarray(self.points[start : start + _BLOCK])


class Approximate:
    """Search by a graph of neighbours (usearch's HNSW), which is built once and kept next to the vectors."""

    def __init__(self, points: Float[np.ndarray, "n d"], file: Path | None, *, distance: str) -> None:
        """Read the graph from a file, or build it and write that; InputError without usearch."""
        try:
            from usearch.index import Index
        except ImportError as error:
            raise InputError(
                f"searching more than {EXACT:,} vectors needs usearch: pip install 'jaxembed[search]'"
            ) from error
        self.points, self.distance = points, distance
        self.graph = Index(
            ndim=points.shape[1], metric={"cosine": "cos", "euclidean": "l2sq"}[distance], dtype="f32"
        )
        if file is not None and file.exists():
            self.graph.load(str(file))
            if len(self.graph) == len(points):
                return
            self.graph.clear()
        for start in range(0, len(points), _BLOCK):
            block = np.asarray(points[start : start + _BLOCK])
            self.graph.add(np.arange(start, start + len(block)), block)
        if file is not None:
            self.graph.save(str(file))

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Found:
        """Find about the k nearest rows of each query."""
        rows = self.graph.search(np.ascontiguousarray(queries), min(k, len(self.points))).keys
        rows = np.asarray(rows).reshape(len(queries), -1).astype(int)
        return _ordered(self.points, queries, rows, distance=self.distance)

    def recall(self, k: int, *, queries: int = 100) -> float:
        """Measure the share of the k nearest rows that it finds, for some rows as queries."""
        chosen = np.random.default_rng(0).choice(len(self.points), min(queries, len(self.points)), replace=False)
        rows = np.asarray(self.points[np.sort(chosen)])
        exact, found = Exact(self.points, distance=self.distance).search(rows, k).rows, self.search(rows, k).rows
        return float(
            np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
        )


def make(points: Float[np.ndarray, "n d"], *, distance: str, file: Path | None = None) -> Exact | Approximate:
    """Make an index: exact up to EXACT rows, beyond that approximate and kept in a file if one is given."""
    if len(points) <= EXACT:
        return Exact(points, distance=distance)
    return Approximate(points, file, distance=distance)


def others(index: Exact | Approximate, k: int) -> Found:
    """Find the k nearest other rows of every row of an index."""
    n = len(index.points)
    k = min(k, n - 1)
    rows, distances = np.empty((n, k), int), np.empty((n, k), np.float32)
    for start in range(0, n, _QUERIES):
        queries = np.asarray(index.points[start : start + _QUERIES])
        found = index.search(queries, k + 1)
        kept = slice(start, start + len(queries))
        other = pairs.others(found.rows, np.arange(start, start + len(queries)))
        rows[kept], distances[kept] = (each[other].reshape(-1, k) for each in found)
    return Found(rows, distances)


def _ordered(points: np.ndarray, queries: np.ndarray, rows: np.ndarray, *, distance: str) -> Found:
    """Order the rows that were found by their distances, which are computed without cancellation."""
    found = np.asarray(points[rows.ravel()], np.float64).reshape(*rows.shape, -1)
    wanted = np.asarray(queries, np.float64)
    if distance == "cosine":
        found = found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-12)
        wanted = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
    distances = np.linalg.norm(found - wanted[:, None, :], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    return Found(np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1))
