"""Evaluation: from a state to numbers and a sample."""
