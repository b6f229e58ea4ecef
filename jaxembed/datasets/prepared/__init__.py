"""TFDS folders: downloaded, prepared and decoded without TensorFlow."""
