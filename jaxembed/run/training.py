"""What config.train says."""

from dataclasses import dataclass
from typing import Literal

from jaxembed.core.bounds import Count, Fraction, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class Training:
    """What config.train says.

    Attributes:
      epochs: passes over the train split.
      batch_size: images a step, over all devices; those that do not fill a last batch wait for the next epoch.
      dtype: the type of the computation; parameters, statistics and losses remain float32.
      log_every: steps that one line of metrics.jsonl averages, and that the device takes without the host; fewer
        before a checkpoint or a validation.
      checkpoint_every: steps between checkpoints; the last step always has one.
      validate_every: epochs between measurements on the validation split; 0 for none before the end.
      chunk: views that the network processes at a time, where a batch has more than fit in memory; 0 for all. Each
        is then embedded twice, and the loss still compares all of them.
      statistics: what BatchNorm takes its statistics over: the "batch" or, which chunks need, only each "chunk".
        With "running", an encoder that starts from given weights keeps the statistics in them, and only its
        parameters learn: it computes in training what it does in evaluation.
      early_side: pixels of the shorter side of the views at first, which makes those steps faster; 0 for views as
        large as the images. Source: Tan & Le 2021, arXiv:2104.00298, section 4, without its other changes.
      early_share: the share of the steps that have such views, from the first one on.
      frozen: whether the encoder stays as it is, parameters and statistics, and only the head is trained.
      resident: GB of train images that may be in memory; if there are more, batches are read from disk as they are
        needed, the same ones.
    """

    epochs: Positive
    batch_size: Positive
    dtype: Literal["float32", "bfloat16"]
    log_every: Positive
    checkpoint_every: Positive
    validate_every: Count
    chunk: Count = 0
    statistics: Literal["batch", "chunk", "running"] = "batch"
    early_side: Count = 0
    early_share: Fraction = 0.0
    frozen: bool = False
    resident: NonNegative = 8.0
