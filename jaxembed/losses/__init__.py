"""Losses: arrays in, one value per row out, or one for the batch; the caller takes the mean."""

from jaxembed.losses.angular import arcface
from jaxembed.losses.classification import cross_entropy
from jaxembed.losses.contrastive import infonce, ntxent, ntxent_tiled, supcon
from jaxembed.losses.decorrelation import barlow, vicreg
from jaxembed.losses.distillation import dino, negative_cosine
from jaxembed.losses.normality import sigreg
from jaxembed.losses.pairwise import all_triplets, margin, margin_pairs, triplet
from jaxembed.losses.reconstruction import l1

__all__ = [
    "all_triplets",
    "arcface",
    "barlow",
    "cross_entropy",
    "dino",
    "infonce",
    "l1",
    "margin",
    "margin_pairs",
    "negative_cosine",
    "ntxent",
    "ntxent_tiled",
    "sigreg",
    "supcon",
    "triplet",
    "vicreg",
]
