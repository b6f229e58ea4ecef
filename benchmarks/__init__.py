"""Speed of the whole training step compared with PyTorch: `python -m benchmarks`, from the repository's root."""
