"""The end of a run: its evaluation, result, encoder, examination and figures."""

import json

import jax

from jaxembed.artifacts import diagnosis, encoder_file, history, samples, workdir
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.artifacts.finished import Finished
from jaxembed.core import files
from jaxembed.core.errors import Incomplete
from jaxembed.devices import processes
from jaxembed.doctor import examination
from jaxembed.evaluate import evaluation, result, sampling
from jaxembed.evaluate.evaluation import Evaluation
from jaxembed.evaluate.result import Described
from jaxembed.jobs.job import Job
from jaxembed.pictures import Shape
from jaxembed.report import summary
from jaxembed.run.run import Run
from jaxembed.types import Dataset, State


def finish(job: Job, parts: Run, dataset: Dataset, state: State) -> None:
    """Evaluate a trained run, write its sample, encoder and result, show that, and draw its figures.

    Raises:
      Diverged: if an embedding cannot be measured.
      Incomplete: if the dataset cannot be examined, or figures cannot be drawn; the result is written.
    """
    evaluated = evaluation.evaluate(parts, state, dataset)
    taken, sampled = sampling.take(parts, state, dataset, evaluated)
    if not processes.is_first():
        return
    lines, what = history.read(job.folder / workdir.METRICS), Described(job.name, job.command, job.config)
    measured = {"measured": evaluated.metrics | sampled, "sha256": evaluated.sha256, "lines": lines}
    record = result.make(what, parts, dataset, state, **measured)
    samples.write(taken, job.folder)
    encoder_file.write(_encoder(job, dataset, state, evaluated.sha256), job.folder / encoder_file.FILE)
    workdir.write_config(job.config, job.folder)
    diagnosis.remove(job.folder)
    # It marks the run as finished; what comes after it can be made again without training.
    files.write_json(job.folder / workdir.RESULT, record)
    summary.show(record, job.folder)
    examined, failure = _examined(job, dataset, evaluated, distance=parts.protocol.distance)
    draw(Finished(job.folder, job.config.to_dict(), record, lines, taken, examined), again=True)
    if failure:
        raise Incomplete(failure)


def draw(run: Finished, *, again: bool) -> None:
    """Draw a run's figures: all again, or those that it lacks."""
    # Imported here, because matplotlib takes a second, and a stopped run does without it.
    from jaxembed.figures import drawings

    drawings.require(run, again=again, advice="the result is written; run the same command again to draw them")


def _examined(
    job: Job, dataset: Dataset, evaluated: Evaluation, *, distance: str
) -> tuple[Diagnosis | None, str | None]:
    """Examine a run's dataset and write what is found; if that fails, say why."""
    try:
        examined = examination.examine(dataset, evaluated.embeddings, distance=distance)
        diagnosis.write(examined, job.folder)
    except Exception as error:  # whatever it is, it must cost neither the result nor the figures
        reason = files.line(f"{type(error).__name__}: {error}")
        advice = "the result is written; use --evaluate to try again"
        return None, f"{job.folder}: the dataset cannot be examined ({reason}); {advice}"
    return examined, None


def _encoder(job: Job, dataset: Dataset, state: State, sha256: str) -> SavedEncoder:
    """Take the frozen encoder out of a state."""
    params, stats = jax.device_get((state.params["encoder"], state.stats.get("encoder", {})))
    shape = Shape(*dataset.train.images.shape[1:])
    config = json.loads(job.config.to_json())
    return SavedEncoder(job.name, config, shape, sha256, params, stats, dataset.name)
