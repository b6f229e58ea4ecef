"""A suite: experiments by name, each with the same seeds, one run after the other, and a report on all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxembed import report
from jaxembed.artifacts import finished, workdir
from jaxembed.cli import config_file
from jaxembed.core import files, options
from jaxembed.core.bounds import Section
from jaxembed.core.errors import Diverged, Incomplete, InputError, JaxembedError, Lost, OutOfMemory, Stopped
from jaxembed.devices import processes
from jaxembed.jobs import commands, rehearsal
from jaxembed.jobs.job import Job, command_of, pinned
from jaxembed.run import build

REPORT = "report"


def train(config: Section, folder: Path, *, configs: Path, data_dir: str | None, track: str, again: bool) -> None:
    """Train every unfinished run of a suite, and write the report on all into `folder`/report.

    Args:
      config: `experiments`, names of config files; `seeds`; `overrides`, sections that replace values in all
        experiments' configs; `each`, by its name, those of one experiment; `together`, the experiments whose seeds
        train side by side, which is faster where one small network leaves an accelerator idle; nothing on a CPU.
      folder: the suite's folder; that of a run is `folder`/<experiment>/seed<seed>.
      configs: folder of the config files.
      data_dir: of the TFDS datasets; None for the default.
      track: the name of a tracker that gets the logs as well; empty for none.
      again: measure finished runs again.

    Raises:
      InputError: if any of that cannot be used; everything is checked before the first run starts.
      Incomplete: if runs failed, whatever the reason; the others are finished, and in the report.
    """
    listed = options.call(jobs, config, folder, configs, data_dir, track, what="config")
    for job in listed:
        if job.is_finished and not again:
            workdir.check_protocol(job.config, workdir.read_config(job.folder), job.folder)
    for job in {job.name: job for job in listed}.values():
        build.run(job.config, build.dataset(job.config, data_dir=data_dir))
    rehearsal.reports()
    _train_side_by_side(listed)
    failed: dict[Path, Exception] = {}
    for number, job in enumerate(listed, start=1):
        print(f"[{number}/{len(listed)}] {job.folder}")
        try:
            _finish(job, again=again)
        except Exception as error:  # whatever it is, the other runs can be trained
            if not _is_its_own(error):
                raise
            print(f"{job.folder}: {_reason(error)}")
            failed[job.folder] = error
        jax.clear_caches()  # a run's compiled functions are of no use to the next, and keep its parts alive
    if not processes.is_first():
        return
    # One that lacks only figures has a result.
    ended = [job.folder for job in listed if isinstance(failed.get(job.folder), Incomplete | None)]
    if ended:
        print(f"Report: {report.write(map(finished.read, ended), folder / REPORT)[0]}")
    if failed:
        raise Incomplete(f"{len(failed)} of {len(listed)} runs failed: {', '.join(map(str, failed))}")


def _train_side_by_side(listed: Sequence[Job]) -> None:
    """Train the seeds of each experiment that asks for it at the same time, where that can be faster."""
    if jax.default_backend() == "cpu" or processes.count() > 1:
        return
    for name in dict.fromkeys(job.name for job in listed):
        unfinished = [job for job in listed if job.name == name and job.together and not job.is_finished]
        if len(unfinished) < 2:
            continue
        print(f"{name}: {len(unfinished)} seeds side by side")
        try:
            commands.train_side_by_side(unfinished)
        except Exception as error:
            if not _is_its_own(error):
                raise
            print(f"{name}: {_reason(error)}; each seed is trained alone")
        jax.clear_caches()


def _finish(job: Job, *, again: bool) -> None:
    """Train and evaluate a run as far as that is not done; with `again`, evaluate it in any case."""
    if again:
        commands.evaluate(job)
    elif job.is_finished:
        commands.complete(job)
    else:
        commands.train(job)


def _reason(error: Exception) -> str:
    known = isinstance(error, JaxembedError | OSError)
    return f"{'' if known else f'{type(error).__name__}: '}{files.line(str(error))}"


def _is_its_own(error: Exception) -> bool:
    """Return whether an error is that of one run, after which the next can start, in all processes."""
    alike = processes.count() == 1 or isinstance(error, Diverged | OutOfMemory)
    return alike and not isinstance(error, Stopped | Lost)


def jobs(
    folder: Path,
    configs: Path,
    data_dir: str | None,
    track: str,
    *,
    experiments: tuple[str, ...],
    seeds: tuple[int, ...],
    overrides: Section,
    each: Section = MappingProxyType({}),
    together: tuple[str, ...] = (),
) -> list[Job]:
    """List the runs of a suite, after checking each config and the contents of its folder.

    Raises:
      InputError: if an experiment or an override does not exist, or a folder holds a different run.
    """
    if not experiments or not seeds:
        raise InputError(f"a suite needs config.experiments and config.seeds, got {experiments} and {seeds}")
    for name in together:
        options.choose(name, experiments, what="config.together")
    for name in each:
        options.choose(name, experiments, what="config.each")
    known = sorted(file.stem for file in configs.glob("*.py"))
    found = []
    for name in dict.fromkeys(experiments):
        options.choose(name, known, what="config.experiments")
        own = options.section(_plain(each).get(name, {}), what=f"config.each.{name}")
        changed = _merged(_plain(overrides), own)
        if "seed" in changed:
            raise InputError(f"config.overrides and .each have no seed; a suite has config.seeds, got {seeds}")
        for seed in dict.fromkeys(seeds):
            config = ConfigDict({**config_file.load(configs / f"{name}.py"), "seed": seed})
            build.check(config)
            _override(config, changed, what="config.overrides")
            line = command_of(configs / f"{name}.py", changed, seed)
            where = folder / name / f"seed{seed}"
            found.append(Job(name, pinned(config, where), where, line, data_dir, track, name in together))
    for job in found:
        workdir.check(job.config, workdir.read_config(job.folder), job.folder)
    return found


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested values; those of the second replace those of the first."""
    return {**first} | {
        key: _merged(first[key], value) if isinstance(value, dict) and isinstance(first.get(key), dict) else value
        for key, value in second.items()
    }


def _plain(section: Section) -> dict[str, Any]:
    return section.to_dict() if isinstance(section, ConfigDict) else dict(section)


def _override(config: ConfigDict, overrides: Mapping[str, Any], *, what: str) -> None:
    """Replace values of a config; InputError at one that it does not have."""
    for key, value in overrides.items():
        options.choose(key, config, what=f"an option in {what}")
        if isinstance(config[key], ConfigDict) and value != {}:
            _override(config[key], options.section(value, what=f"{what}.{key}"), what=f"{what}.{key}")
            continue
        config[key] = value
