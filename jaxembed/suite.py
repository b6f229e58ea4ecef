"""A suite: experiments by name, each with the same seeds, one run after the other, and the report over them."""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxembed import commands, log, options, report, run
from jaxembed.runs import finished, workdir
from jaxembed.types import InputError, Section


class Member(NamedTuple):
    """One run of a suite: of which experiment, with what, where, and the command that makes it alone."""

    name: str
    config: ConfigDict
    folder: Path
    command: str


class Incomplete(RuntimeError):
    """The suite has come to its end, but some of its runs have not; the text is one line."""


def train(config: Section, folder: Path, *, configs: Path, data_dir: str | None, again: bool) -> None:
    """Conduct every run of a suite that is not finished, and write the report over all into `folder`/report.

    Args:
      config: `experiments`, names of config files; `seeds`; `overrides`, sections that replace values in each
        experiment's config.
      folder: of the suite; a run's is `folder`/<experiment>/seed<seed>.
      configs: folder of the config files.
      data_dir: of the TFDS datasets; None for the default.
      again: evaluate finished runs again.

    Raises:
      InputError: if any of that cannot be used; everything is looked at before the first run starts.
      Incomplete: if runs diverged or ran out of memory; the others are done, and in the report.
    """
    everyone = options.call(members, config, folder, configs, what="config")
    for member in everyone:
        if (member.folder / "result.json").exists() and not again:
            finished.read(member.folder)  # what the report needs of it is missed now, not in the end
    for member in {member.name: member for member in everyone}.values():
        run.build(member.config, run.load(member.config, data_dir=data_dir))
    failed = []
    for place, member in enumerate(everyone, start=1):
        print(f"[{place}/{len(everyone)}] {member.folder}")
        if (member.folder / "result.json").exists() and not again:
            continue
        given = {"command": member.command, "data_dir": data_dir, "again": again}
        try:
            commands.conduct(member.name, member.config, member.folder, **given)
        except (log.Diverged, commands.OutOfMemory) as error:
            print(f"{member.folder}: {error}")
            failed.append(str(member.folder))
        jax.clear_caches()  # a run's compiled functions are of no use to the next, and hold its parts
    runs = [finished.read(member.folder) for member in everyone if str(member.folder) not in failed]
    if runs:
        print(f"Report: {report.write(runs, folder / 'report')[0]}")
    if failed:
        raise Incomplete(f"{len(failed)} of {len(everyone)} runs failed: {', '.join(failed)}")


def members(
    folder: Path, configs: Path, *, experiments: tuple[str, ...], seeds: tuple[int, ...], overrides: Section
) -> list[Member]:
    """List the runs of a suite, after a look at each config and at what lies in its folder.

    Raises:
      InputError: if an experiment or an override does not exist, or a folder holds something else.
    """
    overrides = overrides.to_dict() if isinstance(overrides, ConfigDict) else dict(overrides)
    if "seed" in overrides:
        raise InputError(f"config.overrides has no seed; a suite has config.seeds, got {seeds}")
    if not experiments or not seeds:
        raise InputError(f"a suite needs config.experiments and config.seeds, got {experiments} and {seeds}")
    found = []
    for name in dict.fromkeys(experiments):
        options.choose(name, sorted(file.stem for file in configs.glob("*.py")), what="config.experiments")
        for seed in dict.fromkeys(seeds):
            config = ConfigDict({**_config(configs / f"{name}.py"), "seed": seed})
            run.check_sections(config)
            _override(config, overrides, what="config.overrides")
            command = commands.command(configs / f"{name}.py", overrides, seed)
            found.append(Member(name, config, folder / name / f"seed{seed}", command))
    for member in found:
        workdir.check(member.config, member.folder)
    return found


def _config(file: Path) -> ConfigDict:
    try:
        config = runpy.run_path(str(file))["get_config"]()
    except Exception as error:  # a config file is code and can raise anything
        raise InputError(f"{file}: {type(error).__name__}: {error}") from error
    if not isinstance(config, ConfigDict):
        raise InputError(f"{file}: get_config must return a ConfigDict, got {type(config).__name__}")
    return config


def _override(config: ConfigDict, overrides: Mapping[str, Any], *, what: str) -> None:
    """Replace values that a config has; InputError at one that it does not have, or of another type."""
    for key, value in overrides.items():
        options.choose(key, config, what=f"an option in {what}")
        if isinstance(config[key], ConfigDict) and value != {}:
            _override(config[key], options.section(value, what=f"{what}.{key}"), what=f"{what}.{key}")
            continue
        try:
            config[key] = value
        except TypeError as error:
            raise InputError(f"{what}.{key} does not fit: {error.args[0]}") from error
