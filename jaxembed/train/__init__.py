"""Training: from the parts of a run to its final state."""
