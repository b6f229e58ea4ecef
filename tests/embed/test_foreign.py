"""Vectors from elsewhere: read as their tools wrote them, asked about where ambiguous, or refused in one line."""

import contextlib
import csv
import io
import os
import random
import re

import numpy as np
import pandas
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from jaxembed import search
from jaxembed.cli import command
from jaxembed.core import npz
from jaxembed.core.errors import InputError
from jaxembed.doctor import __main__ as doctor
from jaxembed.embed import foreign, frozen, naming, sources, stored, vectors
from jaxembed.embed.foreign import Columns
from jaxembed.embed.vectors import About, Vectors
from jaxembed.explore import __main__ as explore
from jaxembed.explore import server

MORE = int(os.environ.get("FUZZ", "0"))
N, D = 12, 4
POINTS = np.random.default_rng(0).normal(size=(N, D)).astype(np.float16)
NAMES = [f"/data/photos/{'cat' if row % 2 else 'dog'}/{row}.jpg" for row in range(N)]
LABELS = [name.split("/")[3] for name in NAMES]
ROWS = [str(row) for row in range(N)]
TEXT = "\n".join(NAMES) + "\n"
NUMBERS = np.arange(N) % 3


def npy(array, **texts):
    """Write an .npy, and text files next to it."""

    def write(folder):
        np.save(folder / "v.npy", array)
        for name, text in texts.items():
            (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / "v.npy"

    return write


def archive(save=np.savez, **arrays):
    def write(folder):
        save(folder / "v.npz", **arrays)
        return folder / "v.npz"

    return write


def table(metadata=None, **columns):
    def write(folder):
        made = pyarrow.table(columns).replace_schema_metadata(metadata)
        parquet.write_table(made, folder / "v.parquet", row_group_size=5)
        return folder / "v.parquet"

    return write


def frame(**columns):
    """Write a table as pandas does, with columns that are not needed."""

    def write(folder):
        more = {
            "width": np.arange(N),
            "score": np.ones(N),
            "taken": pandas.Timestamp("2026-01-01"),
            "tags": [[]] * N,
        }
        pandas.DataFrame(columns | more).to_parquet(folder / "v.parquet")
        return folder / "v.parquet"

    return write


def lists(kind, points=POINTS):
    return pyarrow.array(points.tolist(), kind)


DOUBLES = lists(pyarrow.list_(pyarrow.float64()))
# What tools write: (how, the names and the labels in it).
WRITTEN = {
    **{f"npy {kind}": (npy(POINTS.astype(kind), v=TEXT), NAMES, None) for kind in ("f2", "f4", "f8", ">f4", ">f8")},
    "npy in Fortran order": (npy(np.asfortranarray(POINTS.astype("f4")), v_names=TEXT), NAMES, None),
    "npy without names": (npy(POINTS), ROWS, None),
    "names of Windows": (npy(POINTS, names=b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()), NAMES, None),
    "no line break at the end": (npy(POINTS, paths=TEXT[:-1]), NAMES, None),
    "features": (archive(features=POINTS, filenames=NAMES, labels=LABELS), NAMES, LABELS),
    "X and y": (archive(X=POINTS.astype("f8"), y=NUMBERS), ROWS, list(map(str, NUMBERS))),
    "compressed": (archive(np.savez_compressed, embeddings=POINTS.astype("f4"), paths=NAMES), NAMES, None),
    "one array of each kind": (archive(dinov2=POINTS, where=NAMES, more=np.array(["a"])), NAMES, None),
    "coordinates too": (archive(vectors=POINTS, xy=POINTS[:, :2], names=NAMES), NAMES, None),
    "objects that are not needed": (archive(emb=POINTS, names=NAMES, meta=np.array({}, object)), NAMES, None),
    "pandas": (frame(embedding=list(POINTS.astype(float)), path=NAMES, label=LABELS), NAMES, LABELS),
    "FiftyOne": (
        frame(id=ROWS, filepath=NAMES, embedding=POINTS.tolist(), **{"ground_truth.label": LABELS}),
        NAMES,
        LABELS,
    ),
    "categories": (frame(embedding=POINTS.tolist(), label=pandas.Categorical(LABELS)), ROWS, LABELS),
    "float32 of fixed size": (table(vector=lists(pyarrow.list_(pyarrow.float32(), D)), uri=NAMES), NAMES, None),
    "float16": (table(emb=lists(pyarrow.list_(pyarrow.float16())), file_name=NAMES), NAMES, None),
    "large lists": (
        table(emb=lists(pyarrow.large_list(pyarrow.float32())), name=pyarrow.array(NAMES, pyarrow.large_string())),
        NAMES,
        None,
    ),
    "labels with gaps": (table(emb=DOUBLES, name=NAMES, label=[None, *LABELS[1:]]), NAMES, ["", *LABELS[1:]]),
    "numbered labels": (table(emb=DOUBLES, name=NAMES, category=NUMBERS), NAMES, list(map(str, NUMBERS))),
}


@pytest.mark.parametrize(("write", "names", "labels"), WRITTEN.values(), ids=WRITTEN)
def test_what_tools_write_is_read(write, names, labels, tmp_path, capsys):
    read = vectors.read(write(tmp_path))
    np.testing.assert_array_equal(read.embeddings, POINTS.astype(np.float32))
    assert (list(read.names), list(read.labels)) == (names, labels or [""] * N)
    assert read.about == About("", "v", "", "cosine")
    assert re.fullmatch(r"\S+: embeddings: \S+, names: .+, labels: \S+\n", capsys.readouterr().out)


CHOICES = archive(features=POINTS, embeddings=POINTS + 1, path=NAMES, name=ROWS, label=LABELS, target=NUMBERS)


def test_what_is_ambiguous_is_asked_for_and_then_taken(tmp_path):
    file, given = CHOICES(tmp_path), {}
    for option, value, listed in (
        ("embeddings", "features", "features, embeddings"),
        ("labels", "target", "label, target"),
        ("names", "path", "path, name"),
    ):
        with pytest.raises(InputError, match=rf"the {option}: {listed}; choose by --{option}=NAME"):
            vectors.read(file, Columns(**given))
        given[option] = value
    read = vectors.read(file, Columns(**given))
    assert (list(read.names), list(read.labels)) == (NAMES, list(map(str, NUMBERS)))
    np.testing.assert_array_equal(read.embeddings, POINTS.astype(np.float32))
    (tmp_path / "other").write_text(TEXT)
    assert vectors.read(file, Columns(**given | {"names": str(tmp_path / "other")})).names == NAMES


def test_text_files_of_names_are_chosen_by_option(tmp_path):
    file = npy(POINTS, names=TEXT, paths=TEXT)(tmp_path)
    with pytest.raises(InputError, match=r"several files of names next to it: .*names.txt, .*paths.txt; choose by"):
        vectors.read(file)
    assert vectors.read(file, Columns(names=str(tmp_path / "paths.txt"))).names == NAMES
    (tmp_path / "v.txt").write_text("\n".join(ROWS))  # with its own name it goes first
    assert vectors.read(file).names == ROWS


BAD = {
    "objects": (npy(np.full((N, D), None)), "it has v (an array of objects is not unpickled"),
    "one dimension": (npy(POINTS[:, 0]), "has no embeddings, float [n, d]; it has v (float16 [12])"),
    "whole numbers": (npy(np.ones((N, D), int)), "it has v (int64 [12, 4])"),
    "nothing": (npy(POINTS[:0]), "embeddings must be float [n, d], got float16 [0, 4]"),
    "no dimension": (npy(POINTS[:, :0]), "embeddings must be float [n, d], got float16 [12, 0]"),
    "NaN": (npy(np.where(np.arange(D) == 2, np.nan, POINTS)), "row 0 is not"),
    "infinite": (npy(np.where(np.arange(N)[:, None] == 3, np.inf, POINTS)), "row 3 is not"),
    "infinite as float32": (npy(POINTS.astype(float) * 1e300), "row 0 is not"),
    "a name too few": (npy(POINTS, v="\n".join(NAMES[1:])), "a name on each of 12 lines, one for each row, got 11"),
    "an empty name": (npy(POINTS, v=TEXT.replace(NAMES[4], "")), "got an empty line 5"),
    "names in Latin-1": (npy(POINTS, v="é\n".encode("latin-1") * N), "v.txt must be text in UTF-8"),
    "names as objects": (
        archive(emb=POINTS, names=np.array(NAMES, object)),
        "names cannot be the names: an array of objects is not unpickled; use numbers or strings",
    ),
    "names as bytes": (archive(emb=POINTS, path=np.array(NAMES, "S")), "path cannot be the names: |S23 [12]"),
    "fewer names": (archive(emb=POINTS, names=NAMES[1:]), "12 embeddings, 11 names"),
    "fewer labels": (archive(emb=POINTS, names=NAMES, label=LABELS[1:]), "11 labels for 12 images"),
    "embeddings of another kind": (archive(embeddings=NUMBERS), "embeddings cannot be the embeddings: int64 [12]"),
    "no array": (archive(), "has no embeddings, float [n, d]; it has nothing"),
    "no lists": (frame(path=NAMES), "has no embeddings, float [n, d]; it has path (large_string)"),
    "lists of two lengths": (
        table(emb=[*POINTS.astype(float).tolist()[:7], [1.0], *POINTS.astype(float).tolist()[8:]]),
        "emb must be lists of one length, got 4 numbers in row 0, 1 in row 7",
    ),
    "a null": (table(emb=[None, *POINTS.astype(float).tolist()[1:]]), "emb has 1 nulls"),
    "a null number": (table(emb=[[None] * D, *POINTS.astype(float).tolist()[1:]]), "emb has 4 nulls"),
    "a null name": (table(emb=DOUBLES, path=[*NAMES[1:], None]), "path has 1 nulls"),
    "empty lists": (table(emb=pyarrow.array([[]] * N, pyarrow.list_(pyarrow.float32()))), "got float32 [12, 0]"),
    "damaged origin": (table({"jaxembed": "{}"}, embedding=DOUBLES, name=NAMES), "or is damaged"),
}


@pytest.mark.parametrize(("write", "error"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_refused_in_one_line(write, error, tmp_path):
    with pytest.raises(InputError) as caught:
        vectors.read(write(tmp_path))
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (Columns(embeddings="x"), "has no x, as --embeddings says; it has features (float16 [12, 4]), embeddings"),
        (Columns(embeddings="label"), "label cannot be the embeddings: <U3 [12]"),
        (Columns(embeddings="features", labels="label", names="target"), "target cannot be the names: int64 [12]"),
        (Columns(embeddings="features", labels="label", names="none.txt"), "has no none.txt, as --names says"),
    ],
)
def test_what_is_asked_for_must_be_there(columns, error, tmp_path):
    with pytest.raises(InputError, match=re.escape(error)):
        vectors.read(CHOICES(tmp_path), columns)


@pytest.mark.parametrize("save", [np.savez_compressed, pyarrow.table])
def test_file_that_inflates_to_fill_memory_is_refused(save, tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_LARGE", 2**16)  # a gigabyte takes seconds to write
    zeros = np.zeros((2**12, 256), np.float16)
    if save is np.savez_compressed:
        file = archive(save, emb=zeros)(tmp_path)
    else:
        file = tmp_path / "v.parquet"
        flat = pyarrow.array(np.zeros(2**20, np.float32))
        offsets = pyarrow.array(np.arange(0, 2**20 + 1, 256), pyarrow.int32())
        parquet.write_table(pyarrow.table({"emb": pyarrow.ListArray.from_arrays(offsets, flat)}), file)
    with pytest.raises(InputError, match=r"emb inflates from [\d,]+ to [\d,]+ bytes"):
        vectors.read(file)


@pytest.mark.parametrize("write", [WRITTEN["npy f4"][0], WRITTEN["features"][0], WRITTEN["FiftyOne"][0]])
def test_damaged_files_are_refused_or_read(write, tmp_path):
    """Bits flipped, bytes replaced, cut and repeated: an .npy and a .parquet have no checksum of their values."""
    file, chosen = write(tmp_path), random.Random(None if MORE else 0)
    content = file.read_bytes()
    for _ in range(MORE or 100):
        changed, at = bytearray(content), chosen.randrange(len(content))
        changed[at : at + chosen.randrange(9)] = chosen.randbytes(chosen.choice((0, 1, 8)))
        file.write_bytes(changed)
        with contextlib.suppress(InputError):
            read = vectors.read(file)
            assert len(read.embeddings) == len(read.names) == len(read.labels)
            assert np.isfinite(read.embeddings).all()


@pytest.mark.parametrize(
    ("query", "row"),
    [(NAMES[3], 3), ("3.jpg", 3), ("cat/3.jpg", 3), ("t/3.jpg", None), ("/mnt/photos/x/b.jpg", 12), ("b.jpg", 12)],
)
def test_name_is_found_by_the_end_of_it_or_of_a_path(query, row):
    names = [*NAMES, "x/b.jpg"]
    if row is None:
        with pytest.raises(InputError, match=r"a query is a name in the file, and none is t/3\.jpg"):
            naming.row(names, query)
    else:
        assert naming.row(names, query) == row


def test_ambiguous_and_repeated_names_are_reported(capsys):
    with pytest.raises(InputError, match=r"2 names end in 1\.jpg: a/1\.jpg, b/1\.jpg"):
        naming.row(["a/1.jpg", "b/1.jpg"], "1.jpg")
    with pytest.raises(InputError, match=r"none is beech\.jpg \(did you mean 'beach\.jpg'\?\)"):
        naming.row(["beach.jpg"], "beech.jpg")
    assert naming.row(["a", "b", "b"], "b") == 1
    assert "2 rows have the name b; the first one" in capsys.readouterr().err


def test_splits_are_in_the_first_folder_that_differs():
    assert naming.splits(["/d/train/a.jpg", "/d/val/b.jpg"]) == ["train", "validation"]
    assert naming.splits(["train/0", "test/0", "test/1"]) == ["train", "test", "test"]
    for names in (["train/a/1.jpg", "train/b/2.jpg"], ["test/1", "val/2"], ["train/1", "x"], ["1", "2"], ["1"]):
        assert naming.splits(names) is None


@pytest.mark.parametrize("prefix", ["", "photos/", "/data/photos/", "s3://bucket/photos/"])
def test_pictures_are_found_wherever_the_folder_was(prefix, tmp_path):
    for name in ("dog/a.png", "cat/a.png"):
        (tmp_path / "moved" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), "red" if "dog" in name else "blue").save(tmp_path / "moved" / name)
    names = [f"{prefix}dog/a.png", f"{prefix}cat/a.png", f"{prefix}cat/gone.png"]
    album = sources.Pictures(tmp_path / "moved", names)
    assert album.picture(names[0]).getpixel((0, 0)) == (255, 0, 0)
    assert album.picture(names[1]).getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(FileNotFoundError):
        album.picture(names[2])
    for name in (f"{prefix}../x.png", f"{prefix}cat/../../x.png"):
        with pytest.raises(InputError, match="is not inside"):
            album.picture(name)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 pictures, of which the last two are the same, and their embeddings, written by jaxembed and by pandas."""
    folder, chosen = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    names = [f"{('cat', 'dog')[row % 2]}/{row:02d}.png" for row in range(24)]
    for row, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        pixels = pixels if row == 23 else np.kron(chosen.integers(0, 256, (8, 8)), np.ones((4, 4)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    encoder = frozen.load("quickstart")
    points, labels = encoder.embed([folder / name for name in names]), [name[:3] for name in names]
    about = About(str(folder), "quickstart", encoder.saved.sha256, "cosine")
    vectors.write_npz(Vectors(points, names, labels, about), folder / "own.npz")
    paths = [f"/elsewhere/{name}" for name in names]
    pandas.DataFrame({"path": paths, "emb": points.tolist(), "label": labels}).to_parquet(folder / "v.parquet")
    return folder


def run(main, *arguments) -> int:
    return command.run(main.__module__.split(".")[1], main, [str(each) for each in arguments])


def test_search_by_name_equals_search_by_its_picture(photos, tmp_path, capsys):
    output = tmp_path / "found.png"
    by_picture = ("quickstart", photos / "own.npz", photos / "cat/02.png")
    by_name = ("--count=4", photos / "own.npz", "cat/02.png")
    elsewhere = (photos / "v.parquet", "--distance=cosine", "cat/02.png", f"--images={photos}")
    printed, sheets = [], []
    for arguments in (by_picture, by_name, elsewhere):
        assert run(search.main, *arguments, "--count=4", f"--output={output}", "--overwrite") == 0
        lines = capsys.readouterr().out.splitlines()
        start = next(number for number, line in enumerate(lines) if "nearest first by cosine distance" in line)
        printed.append([line.replace("/elsewhere/", "") for line in lines[start + 1 : start + 5]])
        sheets.append(output.read_bytes())
        output.unlink()
    assert printed[0][0] == "  0.0000  cat/02.png  [cat]"
    assert printed[0] == printed[1] == printed[2]
    assert sheets[0] == sheets[1] == sheets[2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("{own}",), "there must be a query"),
        (("quickstart", "{own}"), "there must be a query"),
        (("{own}", "missing.png"), "a query is a name in the file, and none is missing.png"),
        (
            ("{own}", "02.png", "--names=names"),
            "was written by jaxembed.embed and says what is what; leave out --names",
        ),
        (
            ("quickstart", "{foreign}", "{own}"),
            "does not say which encoder it was written with: leave out RUN, or run",
        ),
        (("simclr_mnist", "{own}", "{own}"), "but simclr_mnist produces"),
        (("quickstart", "02.png", "03.png"), "02.png must end in .npz, .npy or .parquet"),
    ],
)
def test_searches_that_cannot_be_made_are_refused_in_one_line(arguments, error, photos, capsys):
    places = {"own": photos / "own.npz", "foreign": photos / "v.parquet"}
    assert run(search.main, *(each.format(**places) for each in arguments)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert error in line


def test_explore_without_an_encoder_makes_a_map_and_finds_the_pictures(photos, capsys, monkeypatch):
    served = []
    monkeypatch.setattr(server, "serve", lambda *given: served.append(given))
    for source, *more in (
        (photos / "own.npz",),
        (photos / "v.parquet", f"--images={photos}", "--distance=euclidean"),
    ):
        assert run(explore.main, source, *more, "--port=0") == 0
        (encoder, embedded, album, *_, sockets) = served.pop()
        for each in sockets:
            each.close()
        assert encoder is None
        assert embedded.positions.shape == (24, 2)
        assert embedded.about.distance == ("euclidean" if more else "cosine")
        assert album.picture(embedded.names[3]).size == (32, 32)
    assert run(explore.main, photos / "v.parquet", "--port=0") == 0
    assert served.pop()[2] is None
    assert "the file does not say where its pictures are; use --images=/elsewhere" in capsys.readouterr().err


def test_doctor_examines_vectors_and_their_pictures(photos, tmp_path, capsys):
    (photos / "cat/00.png").rename(photos / "cat/gone.png")
    assert run(doctor.main, photos / "v.parquet", f"--images={photos}", "--output", tmp_path / "out") == 0
    (photos / "cat/gone.png").rename(photos / "cat/00.png")
    told = capsys.readouterr()
    assert "24 images examined" in told.out
    assert "distance and remoteness: distance on the unit sphere" in told.out
    assert "doctor: 1 pictures cannot be read: /elsewhere/cat/00.png (" in told.err
    with (tmp_path / "out" / "duplicates.csv").open(newline="") as stream:
        first = next(csv.DictReader(stream))
    assert {first["first_image"], first["second_image"]} == {"/elsewhere/cat/22.png", "/elsewhere/dog/23.png"}
    assert (float(first["likeness"]), float(first["distance"])) == (pytest.approx(1), 0)
    assert (tmp_path / "out" / "doctor.png").exists()
    (tmp_path / "plain").mkdir()
    np.save(tmp_path / "plain.npy", vectors.read(photos / "own.npz").embeddings)
    assert run(doctor.main, tmp_path / "plain.npy", "--output", tmp_path / "plain") == 0
    written = sorted(each.name for each in (tmp_path / "plain").iterdir())
    assert written == ["doctor.html", "duplicates.csv", "groups.csv", "outliers.csv"]


@pytest.mark.parametrize("main", [explore.main, doctor.main])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "there must be RUN, or a file of vectors"),
        (("{own}", "quickstart"), "own.npz is a file of vectors, not a run; it cannot come before quickstart"),
        (("quickstart", "--names=x"), "--names is for a file of vectors; quickstart is none"),
        (("quickstart", "digits", "--images=."), "--images is for a file of vectors; digits is none"),
        (("quickstart", "{foreign}"), "does not say which encoder it was written with"),
    ],
)
def test_other_arguments_are_refused_in_one_line(main, arguments, error, photos, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"own": photos / "own.npz", "foreign": photos / "v.parquet"}
    assert run(main, *(each.format(**places) for each in arguments)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert error in line


def test_map_of_another_distance_is_made_anew():
    made = Vectors(POINTS, NAMES, LABELS, About("", "v", "", "cosine"), np.zeros((N, 2)))
    assert stored.compared(made, "cosine").positions is not None
    assert stored.compared(made, "euclidean").positions is None


def test_no_word_has_two_roles():
    roles = (foreign.EMBEDDINGS, foreign.NAMES, foreign.LABELS)
    words = [word for role in roles for group in role.words for word in group]
    assert len(words) == len(set(words))


def test_archive_that_lists_fewer_arrays_than_it_counts_is_refused(tmp_path):
    """A comment that grows swallows the arrays after it in the directory."""
    content = io.BytesIO()
    np.savez(content, embeddings=POINTS, names=NAMES)
    written = bytearray(content.getvalue())
    second = written.rindex(b"PK\x01\x02")
    first = written.rindex(b"PK\x01\x02", 0, second)
    written[first + 32 : first + 34] = (written.rindex(b"PK\x05\x06") - second).to_bytes(2, "little")
    (tmp_path / "v.npz").write_bytes(written)
    with pytest.raises(InputError, match="it lists 1 of 2 arrays"):
        vectors.read(tmp_path / "v.npz")
