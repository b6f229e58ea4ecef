"""Layout: which folders are splits and which are classes, decided from all pictures that are there.

The rules are those of docs/extend.md, "Your own images". What has two readings is refused.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import labelling, omitted
from jaxembed.datasets.storage.omitted import Omitted
from jaxembed.datasets.storage.tree import Tree
from jaxembed.pictures import kinds

# Names of the folders of splits, in lower case.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


class Layout(NamedTuple):
    """How the pictures of a folder are divided.

    Attributes:
      names: the pictures that are used, in the order of their names.
      splits: the split of each top-level folder that is one; empty if there are none.
      classes: names of the class folders, as they are printed; empty if the pictures are unlabelled.
      labels: the class index of each picture, -1 if unlabelled.
      remarks: how this was decided, to be printed.
      omitted: what is not used in addition to what the tree does not use.
    """

    names: list[str]
    splits: dict[str, str]
    classes: tuple[str, ...]
    labels: list[int]
    remarks: list[str]
    omitted: list[Omitted]


def decide(found: Tree, *, what: str) -> Layout:
    """Divide the pictures of a folder.

    Raises:
      InputError: if there are two readings, which the error names; `what` names the option in it.
    """
    splits = _splits(found.pictures, what)
    names, outside = found.pictures, []
    if splits:
        names = [name for name in found.pictures if _first(name) in splits]
        outside = [name for name in found.pictures if _first(name) not in splits]
    reason = f"outside {omitted.listed(splits)}"
    left = [Omitted(name, f"in {_first(name)}/" if "/" in name else omitted.kind(name), reason) for name in outside]
    left += [Omitted(f"{each}/", "folders", "no pictures") for each in _empty(found, depth=2 if splits else 1)]
    names, damaged = _without_damaged(found, names, splits)
    left += damaged
    # The split of each picture, and its path in the folder of classes.
    places = [splits[_first(name)] if splits else "train" for name in names]
    paths = [name.partition("/")[2] if splits else name for name in names]
    flat = [name for name, path in zip(names, paths, strict=True) if "/" not in path]
    if not flat:
        classes, labels, remarks = labelling.by_folder(paths, places, what=what)
        called = [each for each in labelling.deeper(paths) if split_of(each.rpartition("/")[2])]
        if called:
            remarks.append(f"folders inside a class are not splits: {omitted.listed(called)}")
        return Layout(names, splits, classes, labels, remarks, left)
    _check_all_flat(names, flat, splits, what)
    remark = "no classes"
    if nested := {_first(path) for path in paths if "/" in path}:
        folders = "sub-folder" if len(nested) == 1 else f"{len(nested)} sub-folders"
        remark += f", because of pictures outside the {folders}: {omitted.listed(flat)}"
    return Layout(names, splits, (), [-1] * len(names), [remark], left)


def split_of(folder: str) -> str | None:
    """Return the split that a folder is called like, in any case; None if it is none."""
    return _SPLIT_OF.get(folder.casefold())


def _splits(pictures: Sequence[str], what: str) -> dict[str, str]:
    """Return the splits among the top-level folders that have pictures; there are none without one for train."""
    folders = list(dict.fromkeys(_first(name) for name in pictures if "/" in name))
    called = {each: split for each in folders if (split := split_of(each))}
    others = [each for each in folders if each not in called]
    if "train" not in called.values():
        deep = {_first(name) for name in pictures if name.count("/") > 1} & called.keys()
        if called and (deep or not others):
            named = omitted.listed(sorted(deep) or called)
            raise InputError(
                f"{what} is ambiguous: {named} may be a class, or a split without a folder train; rename {named}, "
                "or add train"
            )
        return {}
    by_split = {split: [each for each in called if called[each] == split] for split in SPLITS}
    for split, same in by_split.items():
        if len(same) > 1:
            raise InputError(
                f"{what} is ambiguous: {omitted.listed(same)} may be parts of the {split} split, or only one of "
                "them is; merge them, or rename one"
            )
    if others and len(called) == 1:
        train, beside = omitted.listed(called), omitted.listed(others)
        raise InputError(
            f"{what} is ambiguous: {train} may be a class like {beside}, or the train split, so that {beside} "
            f"would not be used; rename {train}, or move {beside} elsewhere"
        )
    return {each: split for split, folders in by_split.items() for each in folders}


def _without_damaged(found: Tree, names: list[str], splits: Iterable[str]) -> tuple[list[str], list[Omitted]]:
    """Leave out the files outside class folders if none of them is a picture, whatever their extension says."""
    flat = [name for name in names if name.count("/") == bool(splits)]
    if len(flat) == len(names) or any(_opens(found, name) for name in flat):
        return names, []
    damaged = [Omitted(name, omitted.kind(name), "outside the class folders, and no picture") for name in flat]
    return [name for name in names if name.count("/") > bool(splits)], damaged


def _opens(found: Tree, name: str) -> bool:
    try:
        return kinds.opens(str(found.root / name), kinds.formats())
    except OSError:  # what it is, its extension says, as of any picture that cannot be read
        return True


def _check_all_flat(names: Sequence[str], flat: Sequence[str], splits: Iterable[str], what: str) -> None:
    """Refuse a split without class folders if another split has class folders and nothing else."""
    mixed = {_first(name) for name in flat}
    nested = {_first(name) for name in names if name.count("/") > 1}
    without = [each for each in splits if each not in nested]
    having = [each for each in splits if each not in mixed]
    if without and having:
        bare, classed = omitted.listed(without), omitted.listed(having)
        raise InputError(
            f"{what} is ambiguous: {classed} has class folders and {bare} has none: no picture has a class, "
            f"or {bare} is not used; sort {bare} into class folders, or use {classed} by itself"
        )


def _empty(found: Tree, *, depth: int) -> list[str]:
    """List the folders without pictures that would be splits or classes; not those inside another one."""
    parts = (name.split("/")[:-1] for name in found.pictures)
    used = {"/".join(each[:end]) for each in parts for end in range(1, min(depth, len(each)) + 1)}
    empty = [each for each in found.folders if each.count("/") < depth and each not in used]
    return [each for each in empty if "/" not in each or each.rpartition("/")[0] in used]


def _first(path: str) -> str:
    return path.partition("/")[0]
