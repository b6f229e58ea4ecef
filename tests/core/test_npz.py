"""Arrays that anybody may have made: refused before their values are read."""

import io
import os

import numpy as np
import pytest

from jaxembed.core import files, npz


def written(array, **header) -> io.BytesIO:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **header)
    return io.BytesIO(stream.getvalue())


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "u1", "?", "<U3", ">i2"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_array_is_read_as_numpy_reads_it(dtype, shape, order):
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype), order=order)
    stream = written(array)
    read = npz.array(stream, len(stream.getvalue()))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([{}], object), "an array of objects is not unpickled"),
        (np.zeros(3, [("a", "f4")]), "is not read here"),
        (np.full(2, 0x110000, "<u4").view("<U1"), "characters that there are not"),
    ],
)
def test_array_of_another_kind_is_refused(array, problem):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    with pytest.raises(ValueError, match=problem):
        npz.array(io.BytesIO(stream.getvalue()), len(stream.getvalue()))


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:20], lambda b: b"x" + b[1:]])
def test_array_of_another_length_is_refused(change):
    content = change(written(np.arange(5)).getvalue())
    with pytest.raises(ValueError, match=r"."):
        npz.array(io.BytesIO(content), len(content))


def test_header_that_is_made_to_fill_memory_is_refused_before_it_is_read():
    content = np.lib.format.magic(2, 0) + (600 * 2**20).to_bytes(4, "little")
    with pytest.raises(ValueError, match="its header must have at most"):
        npz.array(io.BytesIO(content), len(content))


def test_texts_are_as_numpy_has_them():
    array = np.array(["a", "", "é" * 70_000 + "b"][:2] + ["x" * 40] * 3)
    stream = written(array)
    assert npz.texts(stream, npz.header(stream, len(stream.getvalue()))) == array.tolist()


@pytest.mark.parametrize("shape", [(2, 8, 8, 2), (2, 0, 8, 1), (2, 8, 8, 0), (2, 1, 30_000, 3), (8,)])
def test_pictures_that_cannot_be_shown_are_refused(shape):
    npz.require_pictures("images", np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="images must be uint8"):
        npz.require_pictures("images", np.zeros(shape, np.uint8))


def test_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a device or a pipe"):
        npz.read(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a folder"):
        files.regular(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 40 + "1" + "}" * 40, "[]", "1", ""])
def test_json_that_is_no_plain_object_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        files.parsed(text)
