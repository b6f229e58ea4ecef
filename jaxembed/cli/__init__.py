"""A program at a terminal: its arguments, one-line errors, signals and streams; no JAX."""
