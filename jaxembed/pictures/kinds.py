"""Kinds of files: which formats are read, and which files are pictures."""

import functools
import io
import os
import warnings
from collections.abc import Sequence
from importlib import util
from pathlib import Path

from PIL import Image

NEEDS_HEIF = "HEIC needs pillow-heif: pip install 'jaxembed[photos]'"
NO_FORMAT = "not an image format Pillow can read"
NO_TIFF = "a TIFF that Pillow cannot read, such as one in colour with 32 bits or floating point"
FOREIGN, OTHER, COPY = "not a format that is read here", "not a picture", "a backup or an unfinished download"
# Pillow starts an external program to open these, opens what they hold as any format, or only identifies them.
_EXCLUDED = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Formats that are recognised by a file's first bytes, whatever its name.
_MARKED = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Never opened to see what they are. Raw files of cameras begin like a TIFF, which holds only a small preview.
_BY_EXTENSION = {
    FOREIGN: ".3fr .arw .cr2 .cr3 .dcr .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f",
    OTHER: (
        ".aae .avi .csv .db .gz .html .ini .ipynb .json .jsonl .log .mat .md .mov .mp4 .npy .npz .parquet .pkl .pt "
        ".py .rst .safetensors .tar .tfrecord .tsv .txt .xml .xmp .yaml .yml .zip"
    ),
    COPY: ".bak .crdownload .old .orig .part .partial .tmp",
}
_REASONS = {each: reason for reason, extensions in _BY_EXTENSION.items() for each in extensions.split()}
# Other pictures that Pillow does not read; a phone may give such a name to a JPEG.
_PICTURES = frozenset(
    (
        *(".ai", ".avif", ".cdr", ".dcm", ".djvu", ".exr", ".hdr", ".jng"),
        *(".jxl", ".jxr", ".mng", ".svg", ".svgz", ".wdp", ".xcf"),
    )
)
_HEIF = frozenset((".heic", ".heics", ".heif", ".heifs", ".hif"))
# The kinds of HEIF that hold HEVC, in the list of those that a file belongs to at its start (ISO/IEC 23008-12).
_BRANDS, _START, _TIFF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), 64, (b"II*\0", b"MM\0*")


@functools.cache
def formats() -> tuple[str, ...]:
    """List the formats that are read, by Pillow's names; HEIF if pillow-heif is installed."""
    Image.init()
    if "HEIF" not in Image.OPEN and util.find_spec("pillow_heif"):
        import pillow_heif

        # Only the picture itself: not what else such a file may hold.
        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return tuple(sorted(set(Image.OPEN) - _EXCLUDED))


@functools.cache
def extensions() -> frozenset[str]:
    """Return the file extensions of the readable formats: `.jpg`, `.png` and so on."""
    read = formats()
    return frozenset(each for each, name in Image.registered_extensions().items() if name in read)


def why_not(file: str) -> str:
    """Return why a file is not taken for a picture; nothing if it is.

    Its extension decides. A file with another extension, or none, is opened: it is a picture if it begins like one.
    """
    extension = os.path.splitext(file)[1].lower()
    if extension in extensions():
        return ""
    if extension.endswith(("~", "_original")):
        return COPY
    if extension in _REASONS:
        return _REASONS[extension]
    try:
        if opens(file, [each for each in _MARKED if each in formats()]):
            return ""
        if extension in _HEIF or unidentified(Path(file)) == NEEDS_HEIF:
            return NEEDS_HEIF
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return FOREIGN if extension in _PICTURES or extension in Image.registered_extensions() else OTHER


def unidentified(file: Path | io.BufferedIOBase) -> str:
    """Return why a file that Pillow cannot identify is not read; OSError if it cannot be opened."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return unidentified(stream)
    file.seek(0)
    start = file.read(_START)
    if _is_heif(start):
        return NEEDS_HEIF
    return NO_TIFF if start[:4] in _TIFF else NO_FORMAT


def opens(file: str, among: Sequence[str]) -> bool:
    """Return whether a file begins like a picture of one of some formats; OSError if it cannot be read."""
    with open(file, "rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=among):
                return True
        except Image.DecompressionBombError:
            return True
        except MemoryError:
            raise
        except Exception:  # a file of another kind can raise anything
            return False


def _is_heif(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a HEIC."""
    return start[4:8] == b"ftyp" and any(brand in start[8:] for brand in _BRANDS)
