"""The end of a run: its evaluation, result, encoder, examination and figures."""

import json
from typing import Any

import jax

from jaxembed.artifacts import diagnosis, encoder_file, history, samples, workdir
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.artifacts.finished import Finished
from jaxembed.cli import stages
from jaxembed.core import files
from jaxembed.core.errors import Incomplete
from jaxembed.devices import processes
from jaxembed.doctor import examination
from jaxembed.evaluate import evaluation, result, sampling
from jaxembed.evaluate.evaluation import Evaluation
from jaxembed.evaluate.result import Described
from jaxembed.jobs.job import Job
from jaxembed.pictures import Preparation, Shape
from jaxembed.report import summary
from jaxembed.run.run import Run
from jaxembed.types import Dataset, State, Weights


def finish(job: Job, parts: Run, dataset: Dataset, state: State) -> None:
    """Evaluate a trained run, write its sample, encoder, diagnosis and result, show that, and draw its figures.

    Raises:
      Diverged: if an embedding cannot be measured.
      Incomplete: if the dataset cannot be examined, or figures cannot be drawn; the result is written.
    """
    with stages.shown():
        evaluated = evaluation.evaluate(parts, state, dataset)
        stages.begin("t-SNE, and a sample of images")
        taken, sampled = sampling.take(parts, state, dataset, evaluated)
    if not processes.is_first():
        return
    config, lines = json.loads(job.config.to_json()), history.read(job.folder / workdir.METRICS)
    measured = {"measured": evaluated.metrics | sampled, "sha256": evaluated.sha256, "lines": lines}
    record = result.make(Described(job.name, job.command, config), parts, dataset, state, **measured)
    with stages.shown():
        stages.begin("likely errors of the dataset")
        examined, failure = _examined(job, dataset, evaluated, distance=parts.protocol.distance)
    from jaxembed.figures import gallery  # here, because matplotlib takes a second, and a stopped run does without

    with workdir.renewed(job.folder, stale=gallery.stale(job.folder)) as new:
        samples.write(taken, new)
        frozen = _encoder(job.name, config, dataset, parts.weights(state), evaluated.sha256)
        encoder_file.write(frozen, new / encoder_file.FILE)
        workdir.write_config(job.config, new)
        if examined:
            diagnosis.write(examined, new)
        files.write_json(new / workdir.RESULT, record)
    summary.show(record, job.folder)
    complete(Finished(job.folder, config, record, lines, taken, examined))
    if failure:
        raise Incomplete(failure)


def note(job: Job, parts: Run, dataset: Dataset, state: State, evaluated: Evaluation) -> None:
    """Show what was measured on the validation split only, and write it as a trial of the run's settings."""
    config, lines = json.loads(job.config.to_json()), history.read(job.folder / workdir.METRICS)
    measured = {"measured": evaluated.metrics, "sha256": evaluated.sha256, "lines": lines}
    described = Described(job.name, f"{job.command} --tune", config)
    record = result.make(described, parts, dataset, state, **measured) | {"split": "validation"}
    files.write_json(job.folder / workdir.TUNED, record)
    summary.show(record, job.folder)


def complete(run: Finished) -> None:
    """Make what a finished run lacks, and its own files can tell: the doctor's tables, and the figures.

    Raises:
      Incomplete: if figures cannot be drawn.
    """
    # Imported here, because matplotlib takes a second, and a stopped run does without it.
    from jaxembed.figures import gallery

    tables = run.folder / diagnosis.FOLDER
    if run.diagnosis and not all((tables / f"{name}.csv").exists() for name in run.diagnosis.tables):
        diagnosis.write_csv(run.diagnosis, tables)
    with stages.shown():
        stages.begin("figures")
        gallery.require(run, advice="the result is written; run the same command again to draw them")
    summary.follow(run.folder)


def _examined(
    job: Job, dataset: Dataset, evaluated: Evaluation, *, distance: str
) -> tuple[Diagnosis | None, str | None]:
    """Examine a run's dataset; if that fails, say why."""
    try:
        return examination.examine(dataset, evaluated.embeddings, distance=distance), None
    except Exception as error:  # whatever it is, it must cost neither the result nor the figures
        reason = files.line(f"{type(error).__name__}: {error}")
        advice = "the result is written; run the same command again to try again"
        return None, f"{job.folder}: the dataset cannot be examined ({reason}); {advice}"


def _encoder(name: str, config: dict[str, Any], dataset: Dataset, weights: Weights, sha256: str) -> SavedEncoder:
    """Take the frozen encoder out of the weights that were evaluated."""
    params, stats = jax.device_get((weights.params["encoder"], weights.stats.get("encoder", {})))
    preparation = Preparation(Shape(*dataset.train.images.shape[1:]))
    return SavedEncoder(name, config, preparation, sha256, params, stats, dataset.name)
