"""Speed of the whole training step beside PyTorch: `python -m benchmarks`, from the repository's root."""
