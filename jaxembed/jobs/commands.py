"""What launch.py does with one run: train it, evaluate it again, or tune it on the validation split."""

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jaxembed.artifacts import finished, workdir
from jaxembed.core.errors import InputError
from jaxembed.devices import processes
from jaxembed.evaluate import evaluation
from jaxembed.jobs import finish, rehearsal
from jaxembed.jobs.job import Job
from jaxembed.report import summary
from jaxembed.run import build
from jaxembed.run.run import Run
from jaxembed.train import loop, start, together
from jaxembed.train.together import Seed
from jaxembed.types import Dataset, State


def train(job: Job) -> None:
    """Train a run, from its newest checkpoint if there is one; then evaluate it and write the result.

    A finished run is not trained again; its result is shown, and what it lacks is made.

    Raises:
      InputError: if anything in the job cannot be used, and nothing in the folder is changed then; or, after the
        first steps, if no figure can be drawn here.
      OutOfMemory: if the devices, or this machine, do not have enough memory.
      Diverged, Stopped: as `loop.fit`.
      Incomplete: if figures cannot be drawn; the result is written.
    """
    with job.held() as there:
        if not job.is_finished:
            _run(job)
            return
        record = finished.result(job.folder)
        workdir.check_protocol(job.config, there, job.folder)
        print(f"{job.name} is finished; use --evaluate to measure it again")
        summary.show(record, job.folder)
        _complete(job, there, record)


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
            opened.enter_context(job.held())
        dataset, parts = jobs[0].built()
        seeds = []
        for number, job in enumerate(jobs):
            own = build.dataset(job.config, data_dir=job.data_dir) if number else dataset
            workdir.write_config(job.config, job.folder)
            seeds.append(Seed(job.config.seed, own, job.folder))
        together.fit(parts, seeds, track=jobs[0].track)


def evaluate(job: Job) -> None:
    """Measure a finished run again, as its config now says, and write the result; train one that is not finished.

    Raises:
      InputError, OutOfMemory, Diverged, Stopped, Incomplete: as `train`.
    """
    with job.held():
        if job.is_finished:
            _measure(job)
        else:
            _run(job)


def complete(job: Job) -> None:
    """Make what a finished run lacks, because it was killed meanwhile, or could not make it.

    Raises:
      InputError: if a file of the run is damaged, or missing and cannot be made.
      OutOfMemory, Diverged, Incomplete: as `evaluate`.
    """
    with job.held() as there:
        _complete(job, there, finished.result(job.folder))


def tune(job: Job) -> None:
    """Train a run, and print its measurements on the validation split and write them to its folder.

    The test split is not used, and the run remains unfinished.

    Raises:
      InputError, OutOfMemory, Diverged, Stopped: as `train`; InputError also if the run is finished.
    """
    with job.held():
        if job.is_finished:
            raise InputError(
                f"--tune works on a single unfinished run; --workdir {job.folder} holds a finished one, whose test "
                "results have been seen"
            )
        dataset, parts = job.built()
        if dataset.validation is None:
            raise InputError("--tune measures on the validation split; config.data.validation must not be 0 then")
        state = _trained(job, parts, dataset)
        evaluated = evaluation.evaluate(parts, state, dataset, splits=("validation",))
        if processes.is_first():
            finish.note(job, parts, dataset, state, evaluated)
        print("On the validation split only; run the same command without --tune to finish the run")


def _run(job: Job) -> None:
    dataset, parts = job.built()
    finish.finish(job, parts, dataset, _trained(job, parts, dataset))


def _measure(job: Job) -> None:
    dataset, parts = job.built()
    if not (job.folder / workdir.CHECKPOINT / str(parts.total_steps)).exists():
        raise InputError(f"--workdir {job.folder} has no checkpoint at its last step to evaluate")
    finish.finish(job, parts, dataset, start.restored(parts, dataset, job.folder, seed=job.config.seed))


def _complete(job: Job, there: Mapping[str, Any], record: dict[str, Any]) -> None:
    if lacking := finished.lacking(job.folder, record):
        print(f"{job.name} lacks {', '.join(lacking)}; measuring it again")
        _measure(job)
    elif processes.is_first():
        finish.complete(finished.of(job.folder, there, record))


def _trained(job: Job, parts: Run, dataset: Dataset) -> State:
    options = {"seed": job.config.seed, "track": job.track}
    if not processes.is_first():
        return loop.fit(parts, dataset, job.folder, **options)
    workdir.write_config(job.config, job.folder)
    with ThreadPoolExecutor(max_workers=1) as thread:
        rehearsed = thread.submit(rehearsal.figures).result
        return loop.fit(parts, dataset, job.folder, **options, rehearsed=rehearsed)
