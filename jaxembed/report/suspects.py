"""Suspects: what the embeddings of a dataset find wrong with it, together."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.diagnosis import KINDS, Diagnosis, Table
from jaxembed.report.experiments import Experiment

# Of each kind.
SHOWN = 10
# A row that is not among this number of rows of a table counts as the next one.
CONSIDERED = 100


class Suspect(NamedTuple):
    """One or two images.

    Attributes:
      names: the images' names.
      labels: the images' classes; "" for images without.
      proposed: the class that fits better; "" if that is not the question.
      by: the number of embeddings that find them suspicious, in words.
      images: their pixels; none if no embedding kept them.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    proposed: str
    by: str
    images: tuple[UInt8[np.ndarray, "h w c"], ...]

    @property
    def verdict(self) -> str:
        """Say what is suspicious about the labels; nothing if it is not about them."""
        if self.proposed:
            return f"{self.labels[0]}, or {self.proposed}?"
        return f"{self.labels[0]} and {self.labels[1]}" if len({*self.labels}) > 1 else ""


class Group(NamedTuple):
    """Suspects of one kind, with its title."""

    title: str
    suspects: list[Suspect]


def listed(experiments: Sequence[Experiment]) -> list[Group]:
    """List the suspects of each kind, by the first seeds, controls aside; kinds that have none are left out."""
    runs = [each.runs[0] for each in experiments if not each.is_control]
    found = [run.diagnosis for run in runs if run.diagnosis is not None]
    groups = (Group(kind.title, _shown(list(_ranked(found, name)))) for name, kind in KINDS.items())
    return [group for group in groups if group.suspects]


def _shown(ranked: list[Suspect]) -> list[Suspect]:
    """Take the first; where any have pictures, only those: a name among pictures says nothing."""
    return ([each for each in ranked if each.images] or ranked)[:SHOWN]


def _ranked(found: Sequence[Diagnosis], name: str) -> Iterator[Suspect]:
    """Rank the rows of all tables of a kind by their mean rank."""
    having = [each for each in found if name in each.tables]
    ranks: dict[tuple[str, ...], list[tuple[int, Diagnosis]]] = {}
    for each in having:
        for rank, images in enumerate(each.tables[name].names[:CONSIDERED].tolist()):
            # A pair may be the other way round in another table.
            ranks.setdefault(tuple(sorted(images)), []).append((rank, each))
    total = {key: sum(rank for rank, _ in at) + CONSIDERED * (len(having) - len(at)) for key, at in ranks.items()}
    for key in sorted(ranks, key=total.__getitem__):
        yield _suspect(ranks[key], name, len(having))


def _suspect(at: Sequence[tuple[int, Diagnosis]], name: str, of: int) -> Suspect:
    # Not every embedding kept pictures, and none those of all its rows.
    pictured = [(row, each) for row, each in at if _has_picture(each.tables[name], row)]
    row, best = min(pictured or at, key=lambda each: each[0])
    table = best.tables[name]
    proposed = ""
    if table.proposed is not None:
        votes = Counter(diagnosis.class_of(each, each.tables[name].proposed[rank]) for rank, each in at)
        ((proposed, _), *_) = votes.most_common(1)
    images = tuple(table.images[row]) if pictured else ()
    labels = tuple(diagnosis.class_of(best, label) for label in table.labels[row])
    by = f"{len(at)} of {of} embeddings" if of > 1 else ""
    return Suspect(tuple(table.names[row].tolist()), labels, proposed, by, images)


def _has_picture(table: Table, row: int) -> bool:
    return table.images is not None and row < len(table.images)
