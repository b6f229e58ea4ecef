"""Losses: arrays in, one value per row out; the caller takes the mean."""

from jaxembed.losses.classification import cross_entropy
from jaxembed.losses.contrastive import ntxent, ntxent_tiled
from jaxembed.losses.pairwise import margin, margin_pairs
from jaxembed.losses.reconstruction import l1

__all__ = ["cross_entropy", "l1", "margin", "margin_pairs", "ntxent", "ntxent_tiled"]
