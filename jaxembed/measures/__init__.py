"""Measures of an embedding: arrays in, numbers out."""
