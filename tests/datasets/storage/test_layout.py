"""A folder of any layout: each file is used or counted and named, and two readings are refused in one line.

With more examples: `FUZZ=500 python -m pytest tests/datasets/storage/test_layout.py`.
"""

import contextlib
import io
import os
import re
import tempfile
import unicodedata
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxembed.core.errors import InputError
from jaxembed.datasets import folder
from jaxembed.datasets.storage import omitted
from jaxembed.embed import sources

MORE = int(os.environ.get("FUZZ", "0"))


def content(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (2, 3), 9).save(stream, kind)
    return stream.getvalue()


PNG, JPEG, TIFF = map(content, ("PNG", "JPEG", "TIFF"))
TEXT = b"collected in 2019"


def make(root: Path, *names: str, **other: bytes) -> Path:
    """Make a folder of pictures, and of `name="content"` with __ for a dot."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (root / name).mkdir(exist_ok=True)
        else:
            (root / name).write_bytes(PNG)
    for name, data in other.items():
        (root / name.replace("__", ".")).write_bytes(data)
    return root


def scan(root: Path) -> tuple[folder.Listing, str]:
    """Scan a folder; return what it printed, without the folder's name."""
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        listing = folder.scan(root, what="source")
    (line,) = printed.getvalue().splitlines()
    assert line.startswith(f"{root}: ")
    return listing, line.removeprefix(f"{root}: ")


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
DECIDED = [
    (["a.png", "b.png"], 2, "no classes"),
    (["cat/1.png", "dog/1.png"], 2, "classes: 2 folders (cat and dog)"),
    (["cat/tabby/1.png", "dog/1.png"], 2, "classes: 2 folders (cat and dog)"),
    (["cat/1.png", "cover.png"], 2, "no classes, because of pictures outside the sub-folder: cover.png"),
    (["cat/1.png", "dog/1.png", "bird/"], 2, "classes: 2 folders (cat and dog); not used: bird/ (no pictures)"),
    (["Cat/1.png", "cat/1.png"], 2, "classes: 2 folders (Cat and cat); Cat and cat are different classes"),
    ([f"{NFC}/1.png", f"{NFD}/1.png", "dog/1.png"], 3, f"classes: 2 folders ({NFC} and dog)"),
    ([f"{NFD}/1.png", "dog/1.png"], 2, f"classes: 2 folders ({NFD} and dog)"),
    (["cat/1.png", "test/1.png"], 2, "classes: 2 folders (cat and test)"),
    (
        ["all/cat/1.png", "all/dog/1.png"],
        2,
        "classes: 1 folder (all); folders inside a class are not classes: all/cat and all/dog",
    ),
    (
        ["cat/train/1.png", "dog/test/1.png"],
        2,
        "classes: 2 folders (cat and dog); folders inside a class are not splits: cat/train and dog/test",
    ),
    (["train/1.png", "test/1.png"], 2, "no classes; splits: train (train), test (test)"),
    (
        ["Testing/cat/1.png", "Training/cat/1.png", "Training/dog/1.png"],
        3,
        "classes: 2 folders (cat and dog); splits: train (Training), test (Testing)",
    ),
    (
        ["TRAIN/a/1.png", "Valid/a/1.png", "test/a/1.png"],
        3,
        "classes: 1 folder (a); splits: train (TRAIN), validation (Valid), test (test)",
    ),
    (
        ["train/a/1.png", "dev/b/1.png"],
        2,
        "classes: 2 folders (a and b); not in train: b; splits: train (train), validation (dev)",
    ),
    (
        [f"train/{NFC}/1.png", f"test/{NFD}/1.png"],
        2,
        f"classes: 1 folder ({NFC}); splits: train (train), test (test)",
    ),
    (
        ["train/a/1.png", "test/a/1.png", "more/b/1.png", "more/2.png", "3.png", "train/b/"],
        2,
        "classes: 1 folder (a); splits: train (train), test (test); not used: 2 in more/ (outside train and test), "
        "3.png (outside train and test), train/b/ (no pictures)",
    ),
    (
        ["train/a/1.png", "train/2.png", "test/a/1.png"],
        3,
        "no classes, because of pictures outside the sub-folder: train/2.png; splits: train (train), test (test)",
    ),
]


@pytest.mark.parametrize(("names", "count", "printed"), DECIDED, ids=lambda each: str(each)[:60])
def test_layout_is_decided_by_all_pictures_and_printed_on_one_line(names, count, printed, tmp_path):
    listing, line = scan(make(tmp_path, *names))
    assert line == f"{count} pictures; {printed}"
    assert len(listing.names) == len(listing.labels) == count
    if listing.classes:
        inside = [name.partition("/")[2] if listing.splits else name for name in listing.names]
        same = [unicodedata.normalize("NFC", name.partition("/")[0]) for name in inside]
        assert [unicodedata.normalize("NFC", listing.classes[label]) for label in listing.labels] == same


REFUSED = [
    (["bus/1.png", "car/1.png", "train/1.png"], "train may be a class like bus and car, or the train split"),
    (["train/a/1.png", "Train/a/1.png"], "Train and train may be parts of the train split, or only one of them"),
    (["train/a/1.png", "val/a/1.png", "dev/a/1.png"], "dev and val may be parts of the validation split"),
    (["test/a/1.png", "test/b/1.png"], "test may be a class, or a split without a folder train"),
    (["test/1.png", "val/1.png"], "test and val may be a class, or a split without"),
    (["cat/1.png", "test/cat/1.png"], "test may be a class, or a split without a folder train"),
    (["train/a/1.png", "test/1.png"], "train has class folders and test has none: no picture has a class, or test"),
    (
        ["train/1.png", "test/a/1.png"],
        "test has class folders and train has none: no picture has a class, or train",
    ),
    (["train/cat/1.png", "test/Cat/1.png"], "Cat and cat, in different splits, may be one class"),
    (["train/hot dog/1.png", "test/hot_dog/1.png"], "hot dog and hot_dog, in different splits, may be one class"),
]


@pytest.mark.parametrize(("names", "readings"), REFUSED, ids=lambda each: str(each)[:60])
def test_layout_with_two_readings_is_refused_in_one_line_that_names_both(names, readings, tmp_path):
    with pytest.raises(InputError, match=f"^source is ambiguous: {readings}") as caught:
        scan(make(tmp_path, *names))
    assert "; " in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_that_are_no_pictures_change_no_label_and_are_named(tmp_path):
    make(
        tmp_path,
        "cat/1.png",
        "dog/1.png",
        ".hidden/1.png",
        "cat/._1.png",
        "@eaDir/1.png/thumb.png",
        "__MACOSX/1.png",
    )
    make(tmp_path, README=TEXT, a__jxl=TEXT, b__JXL=TEXT, c__nef=TIFF, d__bak=PNG, e__txt=PNG, Thumbs__db=TEXT)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nothing")
    listing, line = scan(tmp_path)
    assert (listing.classes, listing.names) == (("cat", "dog"), ["cat/1.png", "dog/1.png"])
    assert line.partition("not used: ")[2] == (
        "2 .jxl (not a format that is read here), d.bak (a backup or an unfinished download), "
        "Thumbs.db (made by the system), .hidden/ (hidden), c.nef (not a format that is read here), "
        "gone.png (a link to nothing), cat/._1.png (hidden), pipe.png (not a file), e.txt (not a picture), "
        "@eaDir/ (made by the system), README (not a picture), __MACOSX/ (made by the system)"
    )


def test_a_file_that_is_no_picture_whatever_its_extension_says_removes_no_classes(tmp_path):
    listing, line = scan(make(tmp_path, "cat/1.png", "dog/1.png", cover__jpg=TEXT, empty__png=b""))
    assert (listing.classes, listing.names) == (("cat", "dog"), ["cat/1.png", "dog/1.png"])
    assert "cover.jpg (outside the class folders, and no picture), empty.png (outside" in line
    assert scan(make(tmp_path, "real.png"))[0].classes == ()


def test_pictures_are_known_by_their_first_bytes_where_the_extension_is_not_known(tmp_path):
    make(
        tmp_path, photo=JPEG, scan__2023=TIFF, phone__heic=JPEG, lies__jpg=PNG, empty__png=b"", list=TEXT, none=b""
    )
    (tmp_path / "x.jpg?w=100").write_bytes(PNG)
    listing, line = scan(tmp_path)
    assert listing.names == ["empty.png", "lies.jpg", "phone.heic", "photo", "scan.2023", "x.jpg?w=100"]
    assert line.endswith("not used: list (not a picture), none (not a picture)")


def test_only_files_of_unknown_kinds_are_opened(tmp_path, monkeypatch):
    make(tmp_path, "cat/1.png", "cat/1.txt", "cat/1.nef", "cat/1.JPG", "cat/odd.lbl")
    opened = []
    monkeypatch.setattr("builtins.open", lambda file, *_: opened.append(file) or io.BytesIO(TEXT))
    scan(tmp_path)
    assert opened == [str(tmp_path / "cat/odd.lbl")]


@pytest.mark.parametrize("first", ["aaa", "zzz"])
def test_folder_is_used_under_its_own_name_and_links_to_it_are_named(first, tmp_path):
    make(tmp_path / "other", "in/1.png", "2.png")
    photos = make(tmp_path / "photos", "cat/1.png", "dog/1.png")
    links = {first: "cat", "up": "..", "loop": ".", "one": "../other", "two": "../other", "three": "../other/in"}
    for name, target in links.items():
        (photos / name).symlink_to(target)
    (photos / "cat/self").symlink_to("self")
    (tmp_path / "other/back").symlink_to(photos)
    listing, line = scan(photos)
    assert listing.names == ["cat/1.png", "dog/1.png", "one/2.png", "one/in/1.png"]
    for each in (
        f"{first}/ (the same folder as cat)",
        "up/ (a link to a folder above)",
        "two/ (the same folder as one)",
    ):
        assert each in line
    assert "three/ (the same folder as one/in)" in line
    assert "2 links (the same folder as /" in line
    assert "cat/self (cannot be followed: Too many levels of symbolic links)" in line


def test_locked_folder_is_refused_and_locked_file_is_named(tmp_path, monkeypatch):
    make(tmp_path, "cat/1.png", "dog/1.png", list=TEXT)
    real = os.scandir, open

    def deny(call, path, *rest):
        if str(path).endswith(("dog", "list")):
            raise PermissionError(13, "Permission denied", path)
        return call(path, *rest)

    monkeypatch.setattr("builtins.open", lambda *given: deny(real[1], *given))
    assert scan(tmp_path)[1].endswith("not used: list (cannot be read: Permission denied)")
    monkeypatch.setattr(os, "scandir", lambda path: deny(real[0], path))
    with pytest.raises(InputError, match=r"^source: the folder .*dog cannot be listed: Permission denied$"):
        scan(tmp_path)


def test_the_count_of_what_is_not_used_is_complete_however_many_kinds_there_are():
    left = [omitted.Omitted(f"{row}.{row % 30}", f".{row % 30}", "not a picture") for row in range(1000)]
    line = omitted.describe(left)
    assert sum(int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?=\.\d|more)", line)) == 1000
    assert len(line) < 600


def test_every_use_of_a_folder_scans_it_once_and_prints_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = make(tmp_path / "photos", "cat/1.png", "dog/1.png", "README")
    folder.load("folder", None, path=str(photos), size=2)
    trained = capsys.readouterr().err.splitlines()[0]
    sources.open_source(str(photos))
    assert capsys.readouterr().err.splitlines() == [trained]


# What a folder may hold: names of folders and files, and what is in them.
FOLDERS = st.one_of(
    st.sampled_from(["a", "b", "A", "a b", "a_b", "train", "Train", "training", "test", "TESTING", "val", "dev"]),
    st.sampled_from(
        [NFC, NFD, "@eaDir", "__MACOSX", ".git", "two\nlines", r"two\nlines", "\udcff", "x" * 200, " a"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=4),
)
SPLITS = st.sampled_from(["train", "train", "test", "Train", "val"])
PATHS = st.one_of(
    st.lists(FOLDERS, max_size=3).map("/".join),
    st.tuples(SPLITS, st.sampled_from(["a", "b", "A", NFC, NFD])).map("/".join),
)
ENDINGS = st.sampled_from(
    [".png", ".png", ".png", ".png", ".JPG", "", ".heic", ".txt", ".2023", ".nef", ".jpg?w=1", ".bak", ".gif~"]
)
CONTENTS = st.sampled_from([PNG, PNG, JPEG, TIFF, TEXT, b""])
LINKS = st.sampled_from(["", ".", "..", "nothing", "outside"])


@st.composite
def trees(draw) -> tuple[list[tuple[str, bytes | None]], list[tuple[str, str]]]:
    """Draw paths with the content of each, None for an empty folder, and links with their targets."""
    folders = draw(st.lists(PATHS, min_size=1, max_size=5))
    stems = st.sampled_from(["1", "2", "README", "._1", "Thumbs.db"])
    entry = st.tuples(st.sampled_from(folders), stems, ENDINGS, CONTENTS)
    found = [
        (f"{top}/{stem}{end}".lstrip("/"), data)
        for top, stem, end, data in draw(st.lists(entry, min_size=3, max_size=9))
    ]
    found += [(each, None) for each in draw(st.lists(st.sampled_from(folders), max_size=2)) if each]
    link = st.tuples(st.sampled_from(folders), st.sampled_from(["l1", "l2", "0"]), LINKS | st.sampled_from(folders))
    return found, [(f"{top}/{name}".lstrip("/"), to) for top, name, to in draw(st.lists(link, max_size=2))]


def build(root: Path, found, links) -> None:
    make(root.parent / "outside", "1.png", "in/2.png")
    root.mkdir()
    for name, data in found:
        with contextlib.suppress(OSError):  # a file and a folder of one name, or "." and ".."
            path = root / name
            if not path.resolve().is_relative_to(root.resolve()):
                continue
            (path if data is None else path.parent).mkdir(parents=True, exist_ok=True)
            if data is not None:
                path.write_bytes(data)
    for name, target in links:
        with contextlib.suppress(OSError):
            if (root / name).resolve().is_relative_to(root.resolve()):
                (root / name).symlink_to(root.parent / "outside" if target == "outside" else root / target)


def plain(root: Path) -> tuple[set[str], dict[str, str | None] | None, int]:
    """Read a folder again by the rules of docs/extend.md: the pictures, the class of each, and all other files.

    The classes are None if the folder must be refused.
    """
    pictures, others, visited = set(), 0, set()
    pending = [(root, "")]
    while pending:
        pending.sort(key=lambda each: (each[0].is_symlink() and each[1] != "", each[1]))
        path, name = pending.pop(0)
        real = path.resolve()
        if path.is_symlink() and name and (real in visited or root.resolve().is_relative_to(real)):
            others += 1
            continue
        visited.add(real)
        for child in sorted(path.iterdir()):
            relative = f"{name}/{child.name}".lstrip("/")
            try:
                is_folder = child.is_dir()
                is_there = is_folder or child.is_file()
            except OSError:
                is_folder, is_there = False, False
            system = child.name.lower() in ("@eadir", "__macosx", "thumbs.db")
            if child.name.startswith(".") or system or not is_there:
                others += 1
            elif is_folder:
                pending.append((child, relative))
            elif is_picture(child):
                pictures.add(relative)
            else:
                others += 1
    real = {name for name in pictures if (root / name).read_bytes() in (PNG, JPEG, TIFF)}
    return pictures, classes_of(pictures, real), others


def is_picture(file: Path) -> bool:
    end = os.path.splitext(file.name)[1].lower()
    if end in (".png", ".jpg"):
        return True
    return end not in (".txt", ".nef", ".bak") and not end.endswith("~") and file.read_bytes() in (PNG, JPEG, TIFF)


def classes_of(pictures: set[str], real: set[str]) -> dict[str, str | None] | None:
    called = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}
    tops = {name.split("/")[0] for name in pictures if "/" in name}
    splits = {top: called[top.casefold()] for top in tops if top.casefold() in called}
    if 0 in splits.values():
        if len(set(splits.values())) < len(splits) or (len(splits) == 1 and len(tops) > 1):
            return None
    elif splits:
        if len(splits) == len(tops) or any(
            name.count("/") > 1 and name.split("/")[0] in splits for name in pictures
        ):
            return None
        splits = {}
    used = {name: (name.split("/")[0] if splits else "") for name in pictures}
    used = {name: split for name, split in used.items() if not splits or split in splits}
    flat = {name for name, split in used.items() if name.count("/") == (split != "")}
    if flat < used.keys() and not flat & real:
        used = {name: split for name, split in used.items() if name not in flat}
    inside = {name: name[len(split) + bool(split) :].split("/") for name, split in used.items()}
    deep = {split: [len(inside[name]) > 1 for name in used if used[name] == split] for split in used.values()}
    if any(map(all, deep.values())) and any(not any(each) for each in deep.values()):
        return None
    if not all(map(all, deep.values())):
        return dict.fromkeys(used)
    classes = {name: unicodedata.normalize("NFC", inside[name][0]) for name in used}
    if {r"two\nlines", "two\nlines"} <= set(classes.values()):
        return None
    where = {}
    for name, each in classes.items():
        where.setdefault(each, set()).add(used[name])
    for each in where:
        alike = [other for other in where if fold(other) == fold(each)]
        if len(alike) > 1 and sum(len(where[one]) for one in alike) == len(set().union(*map(where.get, alike))):
            return None
    return classes


def fold(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).casefold().strip())


@settings(
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    max_examples=MORE or 60,
)
@given(drawn=trees())
def test_any_folder_is_read_by_the_written_rules_or_refused(drawn):
    with (
        tempfile.TemporaryDirectory() as made,
        mock.patch.object(omitted, "describe", return_value="…") as describe,
    ):
        root = Path(made) / "photos"
        build(root, *drawn)
        pictures, classes, others = plain(root)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                listing = folder.scan(root, what="source")
        except InputError as error:
            refused = str(error)
        else:
            refused = ""
        assert bool(refused) == (classes is None or not pictures)
        assert refused.isprintable()
        if refused:
            event("refused" if pictures else "no pictures")
            return
        event(("labelled" if listing.classes else "no classes") + (", splits" if listing.splits else ""))
        left = describe.call_args.args[0] if describe.call_args else []
        beside = {each.name for each in left if each.reason.startswith("outside ")}
        assert {*listing.names} == {*classes}
        assert beside == pictures - {*classes}
        assert len([each for each in left if each.name not in beside and each.reason != "no pictures"]) == others
        labels = [listing.classes[label] if listing.classes else None for label in listing.labels]
        wanted = [classes[name] for name in listing.names]
        assert all(
            len({label for label, other in zip(labels, wanted, strict=True) if other == each}) == 1
            for each in wanted
        )
        assert len(set(labels)) == len(set(wanted))
        assert len(printed.getvalue().splitlines()) == 1
        assert printed.getvalue()[:-1].isprintable()
        assert listing.labels.dtype == np.int32
