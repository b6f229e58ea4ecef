"""The error of an autoencoder's reconstructions; the objective scores it."""

from jaxembed.measures import Column

POSITION = 90
COLUMNS = (Column("l1", "L1", -1, False, "geometry", "Mean absolute error of the reconstructions."),)
