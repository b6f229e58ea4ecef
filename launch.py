"""Train an image embedding and measure it: dataset × encoder × objective, as a config says; or a suite of them.

  python launch.py --config=configs/simclr_cifar.py
  python launch.py --config=configs/simclr_cifar.py --config.train.epochs=100 --seed=1 --workdir=runs/short
  python launch.py --config=configs/suite_mnist.py

Run the same command again to resume a run that was stopped. A run's folder holds config.json, metrics.jsonl,
checkpoint/ and, at its end, result.json, sample.npz, diagnosis.npz, encoder.safetensors, figures/ and doctor/; a
suite's folder holds those of its runs and report/.
"""

import sys

from jaxembed.cli import hugepages, signals

# Python was started with this file; a notebook that runs it continues afterwards.
OWN = sys._getframe().f_back is None
if OWN:  # before anything heavy is imported
    signals.begin("launch.py", signals.RESUMABLE)
    hugepages.ask()

from jaxembed.jobs import launch  # noqa: E402

if __name__ == "__main__":
    launch.start(__doc__, owns_process=OWN)
