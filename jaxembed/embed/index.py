"""Nearest-neighbour search: exact up to a million rows, approximate beyond that."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.core.errors import InputError
from jaxembed.embed import graph
from jaxembed.kernels import rounding, space

# Above this many rows, an approximate index is used.
MAX_EXACT_ROWS = 1_000_000
# Rows used as queries to estimate recall.
RECALL_QUERIES = 100
# Rows and queries compared at a time.
_BLOCK, _QUERIES = 65_536, 256


class Neighbours(NamedTuple):
    """The k nearest rows of each of q queries, nearest first, and their distances."""

    rows: Int[np.ndarray, "q k"]
    distances: Float[np.ndarray, "q k"]


class Exact:
    """Exact search by matrix products, one block of rows at a time, without copying all rows."""

    def __init__(self, points: Float[np.ndarray, "n d"], *, distance: str) -> None:
        """Compute the rows' norms.

        Args:
          points: [n, d] float32, possibly memory-mapped.
          distance: "cosine", which compares rows on the unit sphere, or "euclidean".
        """
        self.points, self.distance = points, distance
        self.origin, self.is_moved = np.zeros((1, points.shape[1])), False
        most = space.bulk(points, distance=distance) if len(points) else None
        if most and not most.is_near(self.origin):
            # Rows with much in common: what they differ in is compared, block by block.
            self.origin, self.is_moved = most.centre, True
        squares = [np.einsum("nd,nd->n", each, each) for each in map(self._prepared, self._blocks())]
        self.squares = np.concatenate(squares) if squares else np.zeros(0, np.float32)
        self.scales = 1 / np.maximum(np.sqrt(self.squares), 1e-12)

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        """Find the k nearest rows of each query, or all rows if there are fewer than k."""
        parts = [self._search(queries[i : i + _QUERIES], k) for i in range(0, len(queries), _QUERIES)]
        return Neighbours(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _search(self, queries: np.ndarray, k: int) -> Neighbours:
        found = self._ordered(queries, self._candidates(queries, k, self._by_matmul))
        if not found.rows.size:
            return found
        last = np.asarray(self.points[found.rows[:, -1]])
        again = rounding.are_unresolved(self._moved(queries), self._moved(last))
        if again.any():
            exact = self._ordered(queries[again], self._candidates(queries[again], k, self._by_differences))
            for whole, part in zip(found, exact, strict=True):
                whole[again] = part
        return found

    def _candidates(self, queries: np.ndarray, k: int, compare: Callable[..., np.ndarray]) -> np.ndarray:
        best_rows = np.zeros((len(queries), 0), int)
        best = np.zeros((len(queries), 0), np.float32)
        start = 0
        for block in self._blocks():
            score = compare(queries, block, slice(start, start + len(block)))
            kept = min(k, len(block))
            among = np.argpartition(score, kept - 1, axis=1)[:, :kept]
            best_rows = np.concatenate([best_rows, among + start], axis=1)
            best = np.concatenate([best, np.take_along_axis(score, among, axis=1)], axis=1)
            kept = np.argpartition(best, min(k, best.shape[1]) - 1, axis=1)[:, :k]
            best_rows, best = (np.take_along_axis(each, kept, axis=1) for each in (best_rows, best))
            start += len(block)
        return best_rows

    def _by_matmul(self, queries: np.ndarray, block: np.ndarray, rows: slice) -> np.ndarray:
        # Lower is nearer: minus the cosine times the query's norm, or the squared distance less the query's square.
        products = self._prepared(queries) @ self._prepared(block).T
        if self.distance == "cosine" and not self.is_moved:
            return -products * self.scales[None, rows]
        return self.squares[None, rows] - 2 * products

    def _by_differences(self, queries: np.ndarray, block: np.ndarray, rows: slice) -> np.ndarray:
        return rounding.by_differences(self._moved(queries), self._moved(block))

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        return self._moved(rows).astype(np.float32) if self.is_moved else rows

    def _moved(self, rows: np.ndarray) -> np.ndarray:
        return space.relative(rows, self.origin, distance=self.distance)

    def _ordered(self, queries: np.ndarray, rows: np.ndarray) -> Neighbours:
        return _ordered(self.points, queries, rows, distance=self.distance)

    def _blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.points), _BLOCK):
            yield np.asarray(self.points[start : start + _BLOCK])


class Approximate:
    """Approximate search by usearch's HNSW graph, which is built once and saved."""

    def __init__(self, points: Float[np.ndarray, "n d"], file: Path | None, *, distance: str) -> None:
        """Load the graph from a file, or build it and save it there; InputError if usearch is not installed."""
        check(len(points))
        from usearch.index import Index

        self.points, self.distance = points, distance
        self.graph = Index(
            ndim=points.shape[1], metric={"cosine": "cos", "euclidean": "l2sq"}[distance], dtype="f32"
        )
        of = graph.fingerprint(points, distance=distance) if file else ""
        if file and (saved := graph.read(file, of=of)):
            self.graph.load(saved)
            return
        for start in range(0, len(points), _BLOCK):
            block = np.asarray(points[start : start + _BLOCK])
            self.graph.add(np.arange(start, start + len(block)), block)
        if file:
            graph.write(bytes(self.graph.save()), file, of=of)

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        """Find approximately the k nearest rows of each query."""
        rows = self.graph.search(np.ascontiguousarray(queries), min(k, len(self.points))).keys
        rows = np.asarray(rows).reshape(len(queries), -1).astype(int)
        return _ordered(self.points, queries, rows, distance=self.distance)

    def recall(self, k: int) -> float:
        """Estimate recall@k, the fraction of the k nearest rows that are found, on RECALL_QUERIES random rows."""
        n = len(self.points)
        chosen = np.random.default_rng(0).choice(n, min(RECALL_QUERIES, n), replace=False)
        queries = np.asarray(self.points[np.sort(chosen)])
        exact = Exact(self.points, distance=self.distance).search(queries, k).rows.tolist()
        approximate = self.search(queries, k).rows.tolist()
        return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact, approximate, strict=True)]))


def check(count: int) -> None:
    """Raise an InputError if searching so many rows needs usearch, and it is not installed."""
    if count > MAX_EXACT_ROWS and importlib.util.find_spec("usearch") is None:
        raise InputError(
            f"searching more than {MAX_EXACT_ROWS:,} embeddings needs usearch: pip install 'jaxembed[search]'"
        )


def make(points: Float[np.ndarray, "n d"], *, distance: str, file: Path | None = None) -> Exact | Approximate:
    """Make an index: exact up to MAX_EXACT_ROWS rows; above that approximate, and saved if a file is given."""
    if len(points) <= MAX_EXACT_ROWS:
        return Exact(points, distance=distance)
    return Approximate(points, file, distance=distance)


def neighbours_of_all(index: Exact | Approximate, k: int) -> Neighbours:
    """Find the k nearest other rows of every row in an index."""
    n = len(index.points)
    k = min(k, n - 1)
    rows, distances = np.empty((n, k), int), np.empty((n, k), np.float32)
    for start in range(0, n, _QUERIES):
        queries = np.asarray(index.points[start : start + _QUERIES])
        neighbours = index.search(queries, k + 1)
        block = slice(start, start + len(queries))
        other = space.others(neighbours.rows, np.arange(start, start + len(queries)))
        rows[block], distances[block] = (each[other].reshape(len(queries), k) for each in neighbours)
    return Neighbours(rows, distances)


def _ordered(points: np.ndarray, queries: np.ndarray, rows: np.ndarray, *, distance: str) -> Neighbours:
    """Sort each query's rows by distance, recomputed in float64 from differences to avoid cancellation."""
    candidates = np.asarray(points[rows.ravel()], np.float64).reshape(*rows.shape, -1)
    queries = np.asarray(queries, np.float64)
    if distance == "cosine":
        candidates = candidates / np.maximum(np.linalg.norm(candidates, axis=2, keepdims=True), 1e-12)
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
    distances = np.linalg.norm(candidates - queries[:, None, :], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1))
