"""A run's folder: what its files are called, what they hold, and who may write them."""
