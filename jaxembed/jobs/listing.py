"""List what comes with jaxembed: configs, datasets, encoders, ways of learning, controls, pretrained encoders.

  jaxembed list
  jaxembed list configs

Any dataset of images that TFDS has can be named as well, such as mnist, fashion_mnist or cifar10.
"""

import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path

from jaxembed.cli import command, config_file
from jaxembed.embed import frozen
from jaxembed.encoders import published

PACKAGE = Path(__file__).parents[1]
ROOMS = {"datasets": "datasets", "encoders": "encoders", "ways": "objectives", "controls": "controls"}
KINDS = ("configs", *ROOMS, "pretrained")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed list`."""
    parser = command.parser("list", __doc__)
    parser.add_argument("kind", nargs="?", choices=KINDS, help="only these (default: all)")
    asked = parser.parse_args(arguments)
    for kind in [asked.kind] if asked.kind else KINDS:
        lines = listed(kind)
        width = max(map(len, lines))
        print(kind)
        for name, text in lines.items():
            print(f"  {name:{width}}  {text}".rstrip())


def listed(kind: str) -> dict[str, str]:
    """Return what there is of a kind, one of `KINDS`: the first sentence of its file by its name."""
    if kind == "pretrained":
        packaged = dict.fromkeys(frozen.packaged(), "comes with jaxembed")
        return dict(sorted((packaged | {name: _origin(name) for name in published.names()}).items()))
    if kind == "configs":
        return {name: _first_sentence(config_file.PACKAGED / f"{name}.py") for name in config_file.names()}
    files = sorted((PACKAGE / ROOMS[kind]).glob("[a-z]*.py"))
    return {file.stem: _first_sentence(file) for file in files}


def _origin(name: str) -> str:
    source = published.source(name)
    return f"of the package {source.package}" if source.package else "downloaded once (extra hub)"


def _first_sentence(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return textwrap.shorten(text.split("\n\n")[0], 110, placeholder=" …")
