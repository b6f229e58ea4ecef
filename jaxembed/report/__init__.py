"""The report: finished runs side by side, as a page, a text for a repository, and a paper."""

from collections.abc import Iterable
from pathlib import Path

from jaxembed.artifacts.finished import Finished
from jaxembed.core.errors import InputError


def write(runs: Iterable[Finished], folder: Path) -> list[Path]:
    """Write report.html, report.md, report.pdf and the comparison figures into a folder; return their files.

    Raises:
      InputError: if the folder cannot be written.
    """
    # Imported here: the command checks its arguments first, and answers at once if they are wrong.
    from jaxembed.report import comparison, experiments, markdown, page, paper

    datasets = experiments.group(runs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {dataset: comparison.draw(dataset, each, folder) for dataset, each in datasets.items()}
        documents = [document.write(datasets, pictures, folder) for document in (page, markdown, paper)]
    except OSError as error:
        raise InputError(f"the report cannot be written: {error}") from error
    return [*documents, *(picture.file for each in pictures.values() for picture in each)]
