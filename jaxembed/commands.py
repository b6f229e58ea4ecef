"""What launch.py does with one run: train it, evaluate it again, or tune it on the validation split."""

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxembed import doctor, rehearsal
from jaxembed.artifacts import diagnosis, encoder_file, finished, history, identity, samples, workdir
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.artifacts.finished import Finished
from jaxembed.core import files
from jaxembed.core.errors import Incomplete, InputError, Stopped
from jaxembed.devices import mesh, processes
from jaxembed.evaluate import evaluation, forward, result, sampling
from jaxembed.evaluate.evaluation import Evaluation
from jaxembed.pictures import Shape
from jaxembed.report import summary
from jaxembed.run import build, memory
from jaxembed.run.run import Run
from jaxembed.train import loop as training
from jaxembed.train import start, together
from jaxembed.types import Dataset, State


class Job(NamedTuple):
    """One run: what, with which options, where, and the command that reproduces it.

    Attributes:
      name: of the experiment.
      config: of the run.
      folder: of the run.
      command: for its result.json.
      data_dir: of the TFDS datasets; None for the default.
      tensorboard: whether to write TensorBoard events as well.
      together: whether its seeds may train side by side.
    """

    name: str
    config: ConfigDict
    folder: Path
    command: str
    data_dir: str | None
    tensorboard: bool = False
    together: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds a result."""
        return (self.folder / workdir.RESULT).exists()


def train(job: Job) -> None:
    """Train a run, from its newest checkpoint if there is one; then evaluate it and write the result.

    A finished run is not trained again; its result is shown, and figures that it lacks are drawn.

    Raises:
      InputError: if anything in the job cannot be used, and nothing in the folder is changed then; or, after the
        first steps, if no figure can be drawn here.
      OutOfMemory: if the devices, or this machine, do not have enough memory.
      Diverged, Stopped: as `train.fit`.
      Incomplete: if figures cannot be drawn; the result is written.
    """
    with _held(job):
        if job.is_finished:
            record = finished.result(job.folder)
            workdir.check_protocol(job.config, job.folder)
            print(f"{job.name} is finished; use --evaluate to measure it again")
            summary.show(record, job.folder)
            redraw(job)
            return
        parts, dataset, state = _fit(job)
        _finish(job, parts, dataset, state)


def train_side_by_side(jobs: Sequence[Job]) -> None:
    """Train unfinished runs of one experiment, which differ only in their seeds, at the same time.

    Does not evaluate them: `train` resumes each from its last checkpoint. The time that a run's log counts is that
    of all of them.

    Raises:
      InputError, OutOfMemory: as `train`; InputError also if no figure can be drawn here.
      Stopped: after a signal, once the states are saved.
    """
    rehearsal.figures()
    with contextlib.ExitStack() as opened:
        for job in jobs:
            opened.enter_context(_held(job))
        dataset, parts = _built(jobs[0])
        starts = []
        for number, job in enumerate(jobs):
            own = build.dataset(job.config, data_dir=job.data_dir) if number else dataset
            workdir.write_config(job.config, job.folder)
            options = {"seed": job.config.seed, "tensorboard": job.tensorboard, "together": len(jobs)}
            starts.append(partial(training.loop, parts, own, job.folder, **options))
        ends = together.fit(parts, starts)
    for end in ends:
        if isinstance(end, Stopped):
            raise end


def evaluate(job: Job) -> None:
    """Measure a finished run again, as its config now says, and write the result; train one that is not finished.

    Raises:
      InputError, OutOfMemory, Diverged, Stopped, Incomplete: as `train`.
    """
    with _held(job):
        if not job.is_finished:
            parts, dataset, state = _fit(job)
            _finish(job, parts, dataset, state)
            return
        dataset, parts = _built(job)
        if not (job.folder / workdir.CHECKPOINT / str(parts.total_steps)).exists():
            raise InputError(f"--workdir {job.folder} has no checkpoint at its last step to evaluate")
        state = start.restored(parts, dataset, job.folder, seed=job.config.seed)
        _finish(job, parts, dataset, state)


def redraw(job: Job) -> None:
    """Draw the figures that a finished run lacks, because it was killed meanwhile, or they could not be drawn.

    Raises:
      InputError: if a file of the run is missing or damaged.
      Incomplete: if figures cannot be drawn.
    """
    if processes.is_first():
        _draw(finished.read(job.folder), again=False)


def tune(job: Job) -> None:
    """Train a run and print its measurements on the validation split.

    The test split is not used, and the run remains unfinished.

    Raises:
      InputError, OutOfMemory, Diverged, Stopped: as `train`; InputError also if the run is finished.
    """
    with _held(job):
        if job.is_finished:
            raise InputError(
                f"--tune works on a single unfinished run; --workdir {job.folder} holds a finished one, whose test "
                "results have been seen"
            )
        dataset, parts = _built(job)
        if dataset.validation is None:
            raise InputError("--tune measures on the validation split; config.data.validation must not be 0 then")
        state = _trained(job, parts, dataset)
        summary.table(evaluation.evaluate(parts, state, dataset, splits=("validation",)).metrics)
        print("On the validation split only; run the same command without --tune to finish the run")


def command(file: Path, overrides: Mapping[str, Any], seed: int) -> str:
    """Write the command that runs a config file with other values for some of its options, nested or dotted."""
    flat = {key: value for key, value in identity.flatten(overrides).items() if key != "config.seed"}
    flat |= {key: value.to_dict() for key, value in flat.items() if isinstance(value, ConfigDict)}
    values = [f"--{key}={value}" for key, value in sorted(flat.items())]
    return shlex.join(["python", "launch.py", f"--config={file}", *values, f"--seed={seed}"])


@contextlib.contextmanager
def _held(job: Job) -> Iterator[None]:
    """Check the config against the run's folder, and hold that for this process."""
    build.check(job.config)
    with contextlib.ExitStack() as held, memory.enough():
        with processes.first_goes_ahead():
            if processes.is_first():
                held.enter_context(workdir.opened(job.folder))
            workdir.check(job.config, job.folder)
        yield


def _built(job: Job) -> tuple[Dataset, Run]:
    with processes.first_goes_ahead():  # and prepares the dataset
        dataset = build.dataset(job.config, data_dir=job.data_dir)
    parts = build.run(job.config, dataset)
    names = " × ".join((dataset.name, job.config.encoder.name, job.config.objective.name))
    print(f"{job.name}: {names}, on {mesh.described()}")
    print(_described(dataset))
    return dataset, parts


def _described(dataset: Dataset) -> str:
    """Say how many images there are and, where that is not as usual, what they are measured by."""
    counts = [
        f"{len(getattr(dataset, split).labels):,} {split}"
        for split in ("train", "validation", "test")
        if getattr(dataset, split) is not None
    ]
    count = len(dataset.classes)
    text = (
        f"{', '.join(counts)} images, {f'{count} classes' if count > 1 else 'one class' if count else 'no labels'}"
    )
    if dataset.measured[-1] != "test":
        text += f"; no test split: measured on {dataset.measured[-1]} images"
        text += "" if dataset.held_out else ", which it learns from"
    if dataset.classes and not dataset.is_labelled:
        text += "; too few held-out images in different classes, or in one, to measure by labels"
    return text


def _fit(job: Job) -> tuple[Run, Dataset, State]:
    dataset, parts = _built(job)
    return parts, dataset, _trained(job, parts, dataset)


def _trained(job: Job, parts: Run, dataset: Dataset) -> State:
    options = {"seed": job.config.seed, "tensorboard": job.tensorboard}
    if not processes.is_first():
        return training.fit(parts, dataset, job.folder, **options)
    workdir.write_config(job.config, job.folder)
    with ThreadPoolExecutor(max_workers=1) as thread:
        rehearsed = thread.submit(rehearsal.figures).result
        return training.fit(parts, dataset, job.folder, **options, rehearsed=rehearsed)


def _finish(job: Job, parts: Run, dataset: Dataset, state: State) -> None:
    """Evaluate a trained run, write its sample, encoder and result, show that, and draw its figures."""
    evaluated = evaluation.evaluate(parts, state, dataset)
    taken, sampled = sampling.take(parts, state, dataset, evaluated)
    measured = evaluated.metrics | sampled
    if not processes.is_first():
        return
    record = result.make(job.name, job.command, job.config, parts, dataset, state, measured, job.folder)
    samples.write(taken, job.folder)
    encoder_file.write(_encoder(job, dataset, state), job.folder / encoder_file.FILE)
    workdir.write_config(job.config, job.folder)
    lines = history.read(job.folder / workdir.METRICS)
    diagnosis.remove(job.folder)
    # It marks the run as finished; what comes after it can be made again without training.
    files.write_json(job.folder / workdir.RESULT, record)
    summary.show(record, job.folder)
    examined, failure = _examined(job, dataset, evaluated, distance=parts.protocol.distance)
    _draw(Finished(job.folder, job.config.to_dict(), record, lines, taken, examined), again=True)
    if failure:
        raise Incomplete(failure)


def _examined(
    job: Job, dataset: Dataset, evaluated: Evaluation, *, distance: str
) -> tuple[Diagnosis | None, str | None]:
    """Examine a run's dataset and write what is found; if that fails, say why."""
    try:
        examined = doctor.examine(dataset, evaluated.embeddings, distance=distance)
        diagnosis.write(examined, job.folder)
    except Exception as error:  # whatever it is, it must cost neither the result nor the figures
        reason = files.line(f"{type(error).__name__}: {error}")
        advice = "the result is written; use --evaluate to try again"
        return None, f"{job.folder}: the dataset cannot be examined ({reason}); {advice}"
    return examined, None


def _draw(run: Finished, *, again: bool) -> None:
    """Draw a run's figures: all again, or those that it lacks."""
    from jaxembed import figures  # here, because matplotlib takes a second, and a stopped run does without it

    figures.require(run, again=again, advice="the result is written; run the same command again to draw them")


def _encoder(job: Job, dataset: Dataset, state: State) -> SavedEncoder:
    """Take the frozen encoder out of a state."""
    params, stats = jax.device_get((state.params["encoder"], state.stats.get("encoder", {})))
    shape = Shape(*dataset.train.images.shape[1:])
    config, sha256 = json.loads(job.config.to_json()), forward.fingerprint(state)
    return SavedEncoder(job.name, config, shape, sha256, params, stats, dataset.name)
