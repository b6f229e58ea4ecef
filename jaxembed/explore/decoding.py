"""Decoding of a new picture, in a process of its own: it can be damaged or malicious.

Pillow's decoders can take minutes, gigabytes or the interpreter's lock, and can crash. In a process with limits,
none of these reaches the server.
"""

import io
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import jaxembed
from jaxembed import pictures
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.pictures import Pixels, Preparation, Shape, kinds

# Pixels that a new picture may have; seconds and bytes of memory that decoding it may take.
PIXELS, SECONDS, MEMORY = 50_000_000, 60, 4 * 2**30
# Longer side of the picture that is shown, in pixels.
SIDE = 320


def decode(file: io.BufferedIOBase, preparation: Preparation) -> tuple[Pixels, bytes]:
    """Decode a picture in another process.

    Args:
      file: a file on a disk.
      preparation: how it becomes the pixels.

    Returns:
      the pixels, by `pictures.to_pixels`; and the picture to show, as the content of a WebP file.

    Raises:
      InputError: if it cannot be decoded, and why.
    """
    file.flush()
    path = os.pathsep.join([str(Path(jaxembed.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    shape = preparation.shape
    command = [sys.executable, "-m", __spec__.name, json.dumps(preparation)]
    try:
        done = subprocess.run(
            command,
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"decoding takes more than {SECONDS} s") from error
    if done.returncode < 0:
        raise InputError(f"decoding ended by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        raise InputError(done.stdout.decode() or "decoding failed")
    size = shape.height * shape.width * shape.channels
    return np.frombuffer(done.stdout[:size], np.uint8).reshape(shape), done.stdout[size:]


def convert(file: io.BufferedIOBase, preparation: Preparation) -> tuple[Pixels, bytes]:
    """Decode a picture in this process, as `decode` does."""
    Image.MAX_IMAGE_PIXELS = PIXELS // 2  # of what a picture holds too; at twice as many Pillow raises an error
    try:
        with pictures.opened(file) as picture:
            pixels = pictures.to_pixels(picture, preparation)
        small = pictures.open_rgb(file)
        small.thumbnail((SIDE, SIDE))
        return pixels, pictures.as_webp(small, quality=85)
    except Image.DecompressionBombError as error:
        raise InputError(f"it has more than {PIXELS // 10**6} million pixels") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(kinds.unidentified(file)) from error
    except MemoryError as error:
        raise InputError("decoding takes too much memory") from error
    except Exception as error:  # a damaged file can raise anything
        raise InputError(files.line(str(error)) or type(error).__name__) from error


def main() -> int:
    """Decode standard input to standard output: the pixels and the picture to show, or why there are none."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    os.nice(10)
    try:
        shape, *resized = json.loads(sys.argv[1])
        pixels, small = convert(sys.stdin.buffer, Preparation(Shape(*shape), *resized))
    except InputError as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "backslashreplace"))
        return 2
    sys.stdout.buffer.write(pixels.tobytes() + small)
    return 0


if __name__ == "__main__":
    sys.exit(main())
