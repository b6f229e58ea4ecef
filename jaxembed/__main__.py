"""jaxembed: learn image embeddings, and use them.

  jaxembed train CONFIG     train and evaluate, as a config file says, or one that comes with jaxembed
  jaxembed embed            embed a folder of pictures, or a dataset
  jaxembed search           find the images nearest to a picture, or to words
  jaxembed explore          show a map of the images in the browser, served locally
  jaxembed doctor           list near-duplicates, labels that do not fit, and outliers
  jaxembed measure          evaluate embeddings from any other model, and controls
  jaxembed report           compare finished runs
  jaxembed export           export an encoder
  jaxembed list             list the configs, datasets, encoders, ways of learning and pretrained encoders

`jaxembed <command> --help` lists a command's options. `jaxembed train CONFIG` is the same as
`python launch.py --config=CONFIG`, and the others are `python -m jaxembed.<command>`. A first run, with a
dataset that needs no download:

  jaxembed train quickstart
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from jaxembed.cli import signals

COMMANDS = ("embed", "search", "explore", "doctor", "measure", "report", "export")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `jaxembed`; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words.pop(0) if words else "--help"
    if name == "train":
        return _train(words)
    signals.begin(f"jaxembed {name}")
    from jaxembed.cli import command

    if name in COMMANDS:
        module = importlib.import_module(f"jaxembed.{name}")
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"jaxembed.{name}.__main__")
        return command.run(name, module.main, words)
    if name == "list":
        from jaxembed.jobs import listing

        return command.run(name, listing.main, words)
    return command.run("jaxembed", _help, [name])


def _train(words: list[str]) -> NoReturn:
    """Run launch.py's program; the config may be the first word."""
    signals.begin("jaxembed train", signals.RESUMABLE)
    from jaxembed.cli import hugepages, launch_flags
    from jaxembed.jobs import launch

    hugepages.ask()
    if words and not words[0].startswith("-"):
        words[0] = f"--config={words[0]}"
    sys.argv = [launch_flags.COMMAND, *words]
    launch.start(TRAIN, owns_process=True)


def _help(words: Sequence[str]) -> None:
    from jaxembed import __version__
    from jaxembed.core.errors import InputError

    if words[0] in ("--help", "-h", "help"):
        print(__doc__)
    elif words[0] == "--version":
        print(__version__)
    else:
        known = ", ".join(("train", *COMMANDS, "list"))
        raise InputError(f"there is no command {words[0]!r}; it must be one of {known}")


TRAIN = """Train an image embedding and evaluate it: dataset × encoder × objective, as a config says; or a suite.

  jaxembed train quickstart
  jaxembed train simclr_cifar --config.train.epochs=100 --seed=1 --workdir=runs/short
  jaxembed train my_config.py

Run the same command again to resume a run that was stopped.
"""

if __name__ == "__main__":
    sys.exit(main())
