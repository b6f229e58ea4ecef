"""What is wrong with a dataset: near-duplicates, suspicious labels and outliers."""
