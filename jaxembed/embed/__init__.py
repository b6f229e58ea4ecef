"""Using a trained encoder: pictures to vectors, their file, their index and their map."""
