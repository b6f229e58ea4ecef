"""Files of vectors that are damaged, or that somebody else wrote: refused in one line, or read as NumPy reads them.

With more examples: `FUZZ=2000 python -m pytest tests/embed/test_fuzzed_vectors.py`.
"""

import contextlib
import io
import json
import os
import random
import re
import zipfile

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from jaxembed.core import npz
from jaxembed.core.errors import InputError
from jaxembed.embed import index, vectors
from jaxembed.embed.vectors import About, Vectors

MORE = int(os.environ.get("FUZZ", "0"))
N, D = 12, 4
ABOUT = About("/pictures", "quickstart", "0" * 64, "cosine")
EMBEDDINGS = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
NAMES = [f"{'é' * row}{row}.png" for row in range(N)]


def whole() -> dict:
    return {"embeddings": EMBEDDINGS, "names": np.array(NAMES), "about": np.array(json.dumps(ABOUT._asdict()))}


def about(**changes) -> np.ndarray:
    return np.array(json.dumps(ABOUT._asdict() | changes))


# Arrays that somebody may write: (what they replace, whether they can be read).
WRITTEN = {
    "Fortran order": ({"embeddings": np.asfortranarray(EMBEDDINGS)}, True),
    "float64": ({"embeddings": EMBEDDINGS.astype(float)}, True),
    "float16": ({"embeddings": EMBEDDINGS.astype(np.float16)}, True),
    "big-endian": ({"embeddings": EMBEDDINGS.astype(">f4")}, True),
    "big-endian names": ({"names": np.array(NAMES).astype(">U20")}, True),
    "labels": ({"labels": np.array(["a", "b"] * (N // 2))}, True),
    "one row": ({"embeddings": EMBEDDINGS[:1], "names": np.array(["x"])}, True),
    "other arrays": ({"more": np.arange(3)}, True),
    "objects": ({"embeddings": EMBEDDINGS.astype(object)}, False),
    "objects as names": ({"names": np.array(NAMES, object)}, False),
    "bytes as names": ({"names": np.array([b"x"] * N)}, False),
    "numbers as names": ({"names": np.arange(N)}, False),
    "table of names": ({"names": np.array([NAMES])}, False),
    "too few names": ({"names": np.array(NAMES[1:])}, False),
    "too few labels": ({"labels": np.array(["a"])}, False),
    "names of no length": ({"names": np.zeros(N, "<U0")}, False),
    "NaN": ({"embeddings": np.where(np.arange(D) == 2, np.nan, EMBEDDINGS)}, False),
    "infinite as float32": ({"embeddings": EMBEDDINGS.astype(float) * 1e300}, False),
    "too large": ({"embeddings": EMBEDDINGS * 1e20}, False),
    "whole numbers": ({"embeddings": np.ones((N, D), int)}, False),
    "complex": ({"embeddings": EMBEDDINGS.astype(complex)}, False),
    "records": ({"embeddings": np.zeros((N, D), [("a", "f4")])}, False),
    "flat": ({"embeddings": EMBEDDINGS[:, 0]}, False),
    "no dimension": ({"embeddings": EMBEDDINGS[:, :0]}, False),
    "nothing": ({"embeddings": EMBEDDINGS[:0], "names": np.array([], "U4")}, False),
    "another distance": ({"about": about(distance="manhattan")}, False),
    "about with more": ({"about": about(more="x")}, False),
    "about with a number": ({"about": about(source=3)}, False),
    "about as a list": ({"about": np.array("[]")}, False),
    "about as bytes": ({"about": np.array(b"{}")}, False),
    "deep about": ({"about": np.array("[" * 50_000)}, False),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", WRITTEN)
def test_written_vectors_are_read_as_numpy_reads_them(kind, save, tmp_path):
    changes, readable = WRITTEN[kind]
    save(tmp_path / "v.npz", **(whole() | changes))
    if not readable:
        with pytest.raises(InputError, match="is damaged"):
            vectors.read(tmp_path / "v.npz")
        return
    read = vectors.read(tmp_path / "v.npz")
    check_same(read, tmp_path / "v.npz")
    neighbours = index.make(read.embeddings, distance="euclidean").search(np.asarray(read.embeddings), 1)
    np.testing.assert_array_equal(neighbours.rows[:, 0], np.arange(len(read.names)))


def test_archive_that_inflates_to_fill_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "_LARGE", 2**20)  # a gigabyte takes seconds to write
    with zipfile.ZipFile(tmp_path / "v.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in whole().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                if name != "embeddings":
                    np.lib.format.write_array(entry, array)
                    continue
                header = {"descr": "<f4", "fortran_order": False, "shape": (2**12, 1024)}
                np.lib.format.write_array_header_1_0(entry, header)
                entry.write(bytes(2**24))
    assert (tmp_path / "v.npz").stat().st_size < 3e4
    with pytest.raises(InputError, match=r"embeddings inflates from [\d,]+ to 16,777,344 bytes"):
        vectors.read(tmp_path / "v.npz")


def test_one_long_name_does_not_make_a_large_file(tmp_path):
    names = [f"{row}.jpg" for row in range(5000)] + ["d/" * 1500 + "x.png"]
    written = Vectors(np.ones((5001, 2), np.float32), names, [""] * 5001, ABOUT)
    vectors.write_npz(written, tmp_path / "v.npz")
    assert (tmp_path / "v.npz").stat().st_size < 2e6
    assert list(vectors.read(tmp_path / "v.npz").names) == names


def table(**changes) -> pyarrow.Table:
    columns = {
        "name": pyarrow.array(NAMES),
        "label": pyarrow.array(["a", "b"] * (N // 2)),
        "embedding": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(EMBEDDINGS.ravel()), D),
        "x": pyarrow.array(np.zeros(N, np.float32)),
        "y": pyarrow.array(np.ones(N, np.float32)),
    } | changes
    present = {name: column for name, column in columns.items() if column is not None}
    made = pyarrow.table(list(present.values()), names=list(present))
    return made.replace_schema_metadata({"jaxembed": json.dumps(ABOUT._asdict())})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": pyarrow.array([None, *NAMES[1:]])},
        {"name": pyarrow.array(range(N))},
        {"name": pyarrow.array([b"x"] * N)},
        {"name": None},
        {"label": pyarrow.array([None] * N, pyarrow.string())},
        {"x": pyarrow.array([None, *range(1, N)], pyarrow.float32())},
        {"x": pyarrow.array([float("nan")] * N)},
        {"x": None},
        {"embedding": pyarrow.array(EMBEDDINGS.tolist())},
        {"embedding": pyarrow.array([None, *EMBEDDINGS[1:].tolist()], pyarrow.list_(pyarrow.float32(), D))},
        {"embedding": pyarrow.array([[1.0, None, 1.0, 1.0]] * N, pyarrow.list_(pyarrow.float32(), D))},
        {"embedding": pyarrow.array(["x"] * N)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_tables_with_nulls_or_other_columns_are_refused(changes, tmp_path):
    parquet.write_table(table(**changes), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="is damaged"):
        vectors.read(tmp_path / "v.parquet")


def test_written_table_is_read_whatever_its_row_groups(tmp_path):
    parquet.write_table(table(label=None), tmp_path / "v.parquet", row_group_size=5, use_dictionary=False)
    read = vectors.read(tmp_path / "v.parquet")
    assert (read.names, read.labels) == (NAMES, [""] * N)
    np.testing.assert_array_equal(read.embeddings, EMBEDDINGS)
    np.testing.assert_array_equal(read.positions[:, 1], 1)


@pytest.mark.parametrize("suffix", vectors.SUFFIXES)
def test_damaged_vectors_are_refused_or_read_as_others_read_them(suffix, tmp_path):
    """Bits flipped, bytes replaced, cut and repeated, at any place."""
    file, chosen = tmp_path / f"v{suffix}", random.Random(None if MORE else 0)
    if suffix == ".npz":
        vectors.write_npz(Vectors(EMBEDDINGS, NAMES, ["a", "b"] * (N // 2), ABOUT), file)
    else:
        parquet.write_table(table(), file)
    content = file.read_bytes()
    for _ in range(MORE or 150):
        file.write_bytes(damaged(content, chosen))
        with contextlib.suppress(InputError):
            read = vectors.read(file)
            assert read.about.sha256  # not taken for one from elsewhere
            if suffix == ".parquet":
                check_same(read, file)
            else:  # whose CRC leaves nothing else
                np.testing.assert_array_equal(read.embeddings, EMBEDDINGS)
                assert (read.names, read.about) == (NAMES, ABOUT)


def test_flipped_bit_in_the_name_of_an_array_or_column_costs_nothing_unnoticed(tmp_path):
    labels = ["a", "b"] * (N // 2)
    vectors.write_npz(Vectors(EMBEDDINGS, NAMES, labels, ABOUT), tmp_path / "v.npz")
    written = Vectors(EMBEDDINGS, NAMES, labels, ABOUT, np.zeros((N, 2)))
    neighbours = index.Neighbours(np.zeros((N, 1), int), np.zeros((N, 1), np.float32))
    vectors.write_parquet(written, neighbours, tmp_path / "v.parquet")
    for file, names in ((tmp_path / "v.npz", (b"labels.npy",)), (tmp_path / "v.parquet", (b"label", b"/pictures"))):
        content = file.read_bytes()
        places = [found.start() for name in names for found in re.finditer(re.escape(name), content)]
        assert len(places) >= 2
        for place in places:
            for bit in (1, 32):
                file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
                with contextlib.suppress(InputError):
                    read = vectors.read(file)
                    assert (list(read.labels), read.about) == (labels, ABOUT), (place, bit)


def test_table_that_lost_rows_is_refused(tmp_path):
    """A bit of the number of rows in a row group, which is in the footer, after the pages."""
    parquet.write_table(table(), tmp_path / "v.parquet")
    content = bytearray((tmp_path / "v.parquet").read_bytes())
    for place in range(len(content) - 9, len(content) // 2, -1):
        if content[place] == 2 * N:  # a zigzag integer
            changed = bytes(content[:place]) + bytes([2 * N - 8]) + bytes(content[place + 1 :])
            (tmp_path / "v.parquet").write_bytes(changed)
            with contextlib.suppress(InputError):
                assert len(vectors.read(tmp_path / "v.parquet").names) == N


def damaged(content: bytes, chosen: random.Random) -> bytes:
    at, changed = chosen.randrange(len(content)), bytearray(content)
    match chosen.randrange(4):
        case 0:
            changed[at] ^= 1 << chosen.randrange(8)
        case 1:
            changed[at : at + 8] = chosen.randbytes(8)
        case 2:
            del changed[at : at + chosen.randrange(1, 64)]
        case 3:
            changed[at:at] = content[max(0, at - chosen.randrange(1, 64)) : at]
    return bytes(changed)


def check_same(read: Vectors, file) -> None:
    """Assert that what was read is what a plain reader finds in the file."""
    if file.suffix == ".npz":
        with np.load(file) as arrays:
            names, embeddings = arrays["names"].tolist(), arrays["embeddings"]
    else:
        plain = parquet.read_table(io.BytesIO(file.read_bytes()))
        names, embeddings = plain["name"].to_pylist(), np.array(plain["embedding"].to_pylist())
    assert list(read.names) == names
    np.testing.assert_array_equal(read.embeddings, embeddings.astype(np.float32))
    assert np.isfinite(read.embeddings).all()
