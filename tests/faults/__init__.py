"""Faults: runs of launch.py are killed, their files damaged, their disks filled, and what is lost is counted.

All programs are interrupted by signals.

  python -m tests.faults kills --count=200 --output=docs/reliability.json
  python -m tests.faults ends --count=300 --output=docs/reliability.json
  python -m tests.faults damage --output=docs/reliability.json
  python -m tests.faults disk --output=docs/reliability.json
  python -m tests.faults interrupts --count=200 --output=docs/reliability.json

The suite runs a short form of each.
"""
