"""What is stored on disk, and read: TFDS folders, their records, caches and fingerprints."""
