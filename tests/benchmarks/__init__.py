"""Speed of the whole training step beside PyTorch: `python -m tests.benchmarks`, from the repository's root."""
