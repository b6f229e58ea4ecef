"""Inject faults and write what happened into a JSON file: see the package."""

import argparse
import tempfile
from pathlib import Path

from jaxembed.core import files
from tests.faults import damage, disk, ends, interrupts, kills

FAULTS = {
    "kills": kills.inject,
    "ends": ends.inject,
    "damage": damage.inject,
    "disk": disk.inject,
    "interrupts": interrupts.inject,
}


def main() -> None:
    """Inject one kind of fault."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--count", type=int, help="kills, at least; signals")
    parser.add_argument(
        "--output", type=Path, required=True, help="JSON file; the results of other faults are kept"
    )
    options = parser.parse_args()
    limits = {"count": options.count} if options.count else {}
    with tempfile.TemporaryDirectory() as folder:
        result = FAULTS[options.fault](Path(folder), **limits)
    record = files.read_json(options.output) if options.output.exists() else {}
    files.write_json(options.output, record | {options.fault: result})
    print(result)


if __name__ == "__main__":
    main()
