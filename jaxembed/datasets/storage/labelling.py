"""Labelling: folders become classes, and each picture gets the label of its folder."""

import collections
import re
import unicodedata
from collections.abc import Sequence

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import omitted


def by_folder(
    paths: Sequence[str], places: Sequence[str], *, what: str
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Label pictures by their folders.

    Names that look the same, because they are composed or decomposed Unicode, are one class.

    Args:
      paths: paths that begin with the folder of a class.
      places: the split of each.
      what: the option's name in an error.

    Returns:
      The names of the classes, the label of each picture, and remarks to be printed.

    Raises:
      InputError: if the names of two classes differ, but not when they are printed; or only in case or separators,
        in different splits.
    """
    spellings = collections.defaultdict(set)
    for path in paths:
        spellings[_composed(path)].add(path.partition("/")[0])
    # A name that is decomposed everywhere stays so.
    classes = sorted(min(each) if len(each) == 1 else name for name, each in spellings.items())
    printed = tuple(map(files.printable, classes))
    if len(set(printed)) < len(printed):
        ((twice, _),) = collections.Counter(printed).most_common(1)
        raise InputError(f"{what} must have class folders whose names differ when printed; several are {twice!r}")
    label_of = {_composed(each): label for label, each in enumerate(classes)}
    labels = [label_of[_composed(path)] for path in paths]
    where = [set() for _ in classes]
    for label, place in zip(labels, places, strict=True):
        where[label].add(place)
    noun = "folder" if len(classes) == 1 else "folders"
    remarks = [f"classes: {len(classes)} {noun} ({omitted.listed(classes)})", *_twins(classes, where, what)]
    if unseen := [each for each, splits in zip(classes, where, strict=True) if "train" not in splits]:
        remarks.append(f"not in train: {omitted.listed(unseen)}")
    if len(classes) == 1 and len(inside := deeper(paths)) > 1:
        remarks.append(f"folders inside a class are not classes: {omitted.listed(inside)}")
    return printed, labels, remarks


def deeper(paths: Sequence[str]) -> list[str]:
    """List the folders inside classes, each with its class."""
    return list(dict.fromkeys("/".join(path.split("/", 2)[:2]) for path in paths if path.count("/") > 1))


def _twins(classes: Sequence[str], where: Sequence[set[str]], what: str) -> list[str]:
    """Remark on names that differ only in case or separators; refuse them if they are never in the same split."""
    alike = collections.defaultdict(list)
    for label, each in enumerate(classes):
        alike[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", each).casefold().strip())].append(label)
    remarks = []
    for labels in filter(lambda labels: len(labels) > 1, alike.values()):
        named, splits = omitted.listed(classes[label] for label in labels), [where[label] for label in labels]
        if sum(map(len, splits)) == len(set.union(*splits)):
            raise InputError(f"{what} is ambiguous: {named}, in different splits, may be one class; rename them")
        remarks.append(f"{named} are different classes")
    return remarks


def _composed(path: str) -> str:
    """Return the name of a picture's class in composed Unicode."""
    return unicodedata.normalize("NFC", path.partition("/")[0])
