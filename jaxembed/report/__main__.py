"""Compare finished runs: which way of learning gave the better embedding, and how sure is that?

  jaxembed report checkpoints/autoencoder_mnist checkpoints/margin_mnist
  jaxembed report checkpoints --output=docs/results/report

Each argument is a run's folder, or a folder of such folders. Runs of an experiment that differ only in the seed
become one row, mean ± standard deviation; each dataset has its own comparison.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxembed import report
from jaxembed.artifacts import finished
from jaxembed.artifacts.finished import Finished
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.report import experiments, summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `jaxembed report`; return 1 if a run or a figure had to be left out."""
    parser = command.parser("report", __doc__)
    parser.add_argument("folders", nargs="+", type=command.path, metavar="FOLDER", help="of a run, or of runs")
    parser.add_argument(
        "--output", type=command.path, default=Path("report"), help="folder to write to (default: report)"
    )
    options = parser.parse_args(arguments)
    command.check_folder(options.output)
    runs, problems = collect(options.folders)
    from jaxembed.figures import gallery  # here, because matplotlib takes a second, and must find no display

    problems += [problem for run in runs for problem in gallery.damaged(run)]
    for problem in problems:
        print(f"report: left out: {files.line(problem)}", file=sys.stderr)
    if not runs:
        raise InputError("found no finished run to report on")
    if len(runs) == 1:
        summary.table(runs[0].record["metrics"])
    print("\n".join(map(files.printable, report.write(runs, options.output))))
    return 1 if problems else 0


def collect(folders: Iterable[Path]) -> tuple[list[Finished], list[str]]:
    """Read the runs in the folders, each once: (runs, a line on each that cannot be read)."""
    runs: dict[str, Finished] = {}
    problems = []
    for folder in {Path(os.path.realpath(found)): found for given in folders for found in _found(given)}.values():
        try:
            run = finished.read(folder)
        except InputError as error:
            problems.append(str(error))
            continue
        same = runs.setdefault(str(sorted(experiments.options_of(run).items())), run)
        if same is not run:
            problems.append(f"{folder} holds a run with the same config and seed as {same.folder}")
    return list(runs.values()), problems


def _found(folder: Path) -> list[Path]:
    """List the runs' folders in a folder; the folder itself if it is one, or holds none."""
    if (folder / "config.json").exists():
        return [folder]
    return sorted(file.parent for file in folder.rglob("config.json")) or [folder]


if __name__ == "__main__":
    sys.exit(command.run("report", main))
