"""A legacy .pth file as arrays, without executing anything that it says.

Such a file, from before PyTorch 1.6, is five pickles and the numbers: a magic number, a version, the writer's
platform, the arrays by name, the keys of the numbers; then, for each key in order, a count and the numbers.
Source: torch/serialization.py, _legacy_load.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

# Operations of a pickle that such a file has.
_OPERATIONS = {
    "PROTO",
    "STOP",
    "MARK",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "LONG1",
    "BININT",
    "BININT1",
    "BININT2",
    "BINUNICODE",
    "EMPTY_DICT",
    "EMPTY_LIST",
    "EMPTY_TUPLE",
    "SETITEM",
    "SETITEMS",
    "APPENDS",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
    "BINPUT",
    "LONG_BINPUT",
    "BINGET",
    "LONG_BINGET",
    "GLOBAL",
    "REDUCE",
    "BUILD",
    "BINPERSID",
}
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
_COUNT = np.dtype("<i8")
# Arrays of a file, dimensions of an array, and numbers in it.
_MOST, _DEEPEST, _LARGEST = 10_000, 8, 2**40


class Storage(NamedTuple):
    """Numbers that arrays are views of, which come later in the file."""

    key: str
    dtype: str
    count: int


class Array(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(content: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of a legacy .pth file by name.

    Raises:
      ValueError: if it is no such file, is damaged, or asks for anything but arrays.
    """
    stream = io.BytesIO(content)
    try:
        magic, version, platform = (_load(stream) for _ in range(3))
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError("it is not a legacy .pth file")
        if platform.get("little_endian") is not True:
            raise ValueError("its numbers are not little-endian")
        arrays, keys = _load(stream), _load(stream)
        return _read(stream, arrays, keys)
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _load(stream: io.BytesIO) -> Any:
    """Load a pickle after a look at its operations; ValueError at one that such a file does not need."""
    start = stream.tell()
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name not in _OPERATIONS:
            raise ValueError(f"it has the operation {operation.name}, which is not executed")
        # Of the memo, which Python makes as long as its largest number.
        if operation.name.endswith("BINPUT") and argument > _MOST:
            raise ValueError(f"it numbers its objects up to {argument}")
    stream.seek(start)
    return _Unpickler(stream).load()


def _read(stream: io.BytesIO, arrays: Any, keys: Any) -> dict[str, np.ndarray]:
    """Read the numbers of each key, and take the arrays out of them."""
    # By dict's own method, because a pickle can give its dictionary others.
    items = list(dict.items(arrays)) if isinstance(arrays, dict) else [(None, None)]
    named = all(isinstance(name, str) and isinstance(array, Array) for name, array in items)
    if not named or not isinstance(keys, list) or len(items) > _MOST:
        raise ValueError("it does not hold arrays by name")
    storages = {array.storage.key: array.storage for _, array in items}
    if sorted(storages) != sorted(keys):
        raise ValueError("its numbers are those of other arrays")
    numbers = {key: _numbers(stream, storages[key]) for key in keys}
    if stream.read(1):
        raise ValueError("it goes on after its last array")
    return {name: _view(array, numbers[array.storage.key]) for name, array in items}


def _numbers(stream: io.BytesIO, storage: Storage) -> np.ndarray:
    counted = np.frombuffer(stream.read(_COUNT.itemsize), _COUNT)
    size = storage.count * np.dtype(storage.dtype).itemsize
    data = stream.read(size)
    if counted.tolist() != [storage.count] or len(data) != size:
        raise ValueError("it ends early, or counts its numbers wrongly")
    return np.frombuffer(data, storage.dtype)


def _view(array: Array, numbers: np.ndarray) -> np.ndarray:
    """Copy an array out of its storage, where it may be transposed; ValueError unless all of it is inside."""
    size = math.prod(array.shape)
    last = array.offset + sum((side - 1) * stride for side, stride in zip(array.shape, array.strides, strict=True))
    if not array.offset >= 0 or not size <= len(numbers) or (size and last >= len(numbers)):
        raise ValueError("an array is not inside its numbers")
    if not size:
        return np.zeros(array.shape, numbers.dtype)
    steps = [stride * numbers.itemsize for stride in array.strides]
    return np.lib.stride_tricks.as_strided(numbers[array.offset :], array.shape, steps).copy()


class _Rebuild:
    """Stands in for torch._utils._rebuild_tensor_v2; without attributes, which a pickle could set."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Array:
        """Describe an array; the other arguments are those of training."""
        whole = all(
            isinstance(each, tuple)
            and len(each) <= _DEEPEST
            and all(type(n) is int and 0 <= n < _LARGEST for n in each)
            for each in (shape, strides)
        )
        if not isinstance(storage, Storage) or type(offset) is not int or not whole:
            raise ValueError("an array is not described as one")
        return Array(storage, offset, shape, strides)


# All that a file may name, and what stands for it here: nothing of PyTorch is called. The last two are numbers'
# types, as text because a pickle can't change it.
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(pickle.Unpickler):
    """Knows four names, and calls two of them."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise ValueError(f"it asks for {module}.{name}, which is not executed"[:200])
        return _KNOWN[module, name]

    def persistent_load(self, described: Any) -> Storage:
        kind, dtype, key, _, count, *_ = described
        sized = type(count) is int and 0 <= count < _LARGEST
        if kind != "storage" or dtype not in ("<f4", "<i8") or not isinstance(key, str) or not sized:
            raise ValueError("its numbers are not described as such")
        return Storage(key, dtype, count)
