"""An ONNX model, whoever made it: its file is checked, and ONNX Runtime runs it on the CPU.

It can compute anything from its input, with as much memory and time as it likes, and nothing else: it reads no file
but those next to it, and operators that are not ONNX Runtime's own are never loaded.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed.artifacts import preprocessor
from jaxembed.core import files
from jaxembed.core.errors import InputError

SUFFIX = ".onnx"
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
# Pixels of a side.
# Only errors that end the process, because all others are raised.
_FATAL = 4


class Images(NamedTuple):
    """What a model takes.

    Attributes:
      name: the input's name.
      dtype: of its numbers: float32, float16 or uint8.
      channels_first: whether it takes [n, c, h, w] instead of [n, h, w, c].
      batch: how many images it takes at a time; None for any number.
      sides: the height, the width and the number of channels of an image; None for any.
    """

    name: str
    dtype: Any
    channels_first: bool
    batch: int | None
    sides: tuple[int | None, int | None, int | None]


class Model:
    """A model with one input, images.

    Attributes:
      file: the file.
      sha256: hash of the file, and of those next to it that hold its arrays.
      metadata: what the file says of itself: name -> text.
      images: what it takes.
    """

    def __init__(self, file: Path) -> None:
        """Read a file and prepare to run it.

        Raises:
          InputError: if ONNX Runtime is not installed; if the file is missing, damaged or not ONNX; if it names a
            file that is not next to it; if it has operators that ONNX Runtime does not have, or another input than
            images.
        """
        runtime, onnx = _libraries(file)
        try:
            content = files.regular(file).read_bytes()
            proto = onnx.ModelProto.FromString(content)
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # from protobuf
            raise InputError(f"{file} is not an ONNX file, or is damaged: {_reason(error)}") from error
        if not proto.graph.node:
            raise InputError(f"{file} is not an ONNX file, or is damaged: it has no graph")
        external = {_beside(file, tensor) for tensor in _external(proto, onnx.TensorProto)}
        self.file, self.sha256 = file, _digest(content, sorted(external))
        self.metadata = {each.key: each.value for each in proto.metadata_props}
        options = runtime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            opened = partial(runtime.InferenceSession, file, options, providers=["CPUExecutionProvider"])
            stop = partial(options.set_load_cancellation_flag, True)
            self.session = _called(partial(opened, enable_fallback=0), stop)  # a fallback prints
        except Exception as error:  # its errors have no class in common
            raise InputError(f"ONNX Runtime cannot run {file}: {_reason(error)}") from error
        self.images = _images(file, self.session.get_inputs())

    def run(self, images: np.ndarray, outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run the model on images [n, h, w, c], already numbers as it takes them: output -> array, of all or some.

        Raises:
          InputError: if ONNX Runtime fails: the model does not take such images, or needs more memory.
        """
        given = images.transpose(0, 3, 1, 2) if self.images.channels_first else images
        names = [each.name for each in self.session.get_outputs()] if outputs is None else list(outputs)
        numbers = {self.images.name: np.ascontiguousarray(given, self.images.dtype)}
        options = _libraries(self.file)[0].RunOptions()
        try:
            call = partial(self.session.run, names, numbers, options)
            values = _called(call, partial(setattr, options, "terminate", True))
        except Exception as error:
            raise InputError(f"{self.file} fails on images {list(given.shape)}: {_reason(error)}") from error
        return dict(zip(names, values, strict=True))


def _libraries(file: Path) -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{file} needs ONNX Runtime: pip install 'jaxembed[onnx]'") from error
    return onnxruntime, onnx


def _called(call: Callable[[], Any], stop: Callable[[], Any]) -> Any:
    """Call a function of C++ in a thread, because signals are handled in Python only; one that raises stops it."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        try:
            return future.result()
        except BaseException:
            stop()
            raise


def _external(message: Any, kind: type) -> Iterator[Any]:
    """Yield the tensors in a message, at any depth, whose numbers are in another file."""
    if isinstance(message, kind) and message.data_location == kind.EXTERNAL:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from _external(each, kind)


def _beside(file: Path, tensor: Any) -> Path:
    """Return the file that holds a tensor's numbers, which must be in the model's folder.

    The hub's cache has links there, to files in one folder.
    """
    location = {each.key: each.value for each in tensor.external_data}.get("location", "")
    data, shown = file.parent / location, files.printable(location) or "a file without a name"
    if Path(location).name != location or "\0" in location:
        raise InputError(f"{file} reads {shown}; only files in its own folder are read")
    try:
        if not data.exists():
            raise InputError(f"{file} needs {shown}, which is not next to it")
        if files.regular(data).resolve().parent not in (file.parent.resolve(), file.resolve().parent):
            raise InputError(f"{file} reads {shown}, which is a link to another folder; only its own is read")
    except OSError as error:
        raise InputError(f"{data} cannot be read: {error.strerror or error}") from error
    return data


def _digest(content: bytes, external: Sequence[Path]) -> str:
    digest = hashlib.sha256(content)
    for each in external:
        with each.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _images(file: Path, inputs: Sequence[Any]) -> Images:
    """Describe the input of a model; InputError unless it is one, and images."""
    if len(inputs) != 1:
        names = ", ".join(files.printable(each.name) for each in inputs) or "none"
        raise InputError(f"{file} must have one input, images; its inputs: {names}")
    (given,) = inputs
    what = f"the input of {file}, {files.printable(given.name)},"
    if given.type not in TYPES:
        raise InputError(f"{what} must be float32, float16 or uint8, got {given.type}")
    sides = [side if isinstance(side, int) and side > 0 else None for side in given.shape]
    if len(sides) != 4 or not ({sides[1], sides[3]} & {None, 1, 3}):
        raise InputError(
            f"{what} must be images [n, c, h, w] or [n, h, w, c] with 1 or 3 channels, got {given.shape}"
        )
    if max(side or 0 for side in sides[1:]) > preprocessor.LARGEST:
        raise InputError(f"{what} may have sides of up to {preprocessor.LARGEST} pixels, got {given.shape}")
    first = _is_channels_first(given.shape)
    height, width, channels = sides[2:] + sides[1:2] if first else sides[1:]
    return Images(given.name, TYPES[given.type], first, sides[0], (height, width, channels))


def _is_channels_first(shape: Sequence[int | str | None]) -> bool:
    """Tell [n, c, h, w] from [n, h, w, c]; where both sides can be anything, by their names, else the first."""
    if any(isinstance(shape[axis], int) for axis in (1, 3)):
        return shape[1] in (1, 3) or (shape[3] not in (1, 3) and not isinstance(shape[1], int))
    return "channel" not in str(shape[3]).lower()


def _reason(error: Exception) -> str:
    """Write what a library says on one line, without what it repeats after the first."""
    return files.line(str(error).strip().partition("\n")[0] or type(error).__name__)
