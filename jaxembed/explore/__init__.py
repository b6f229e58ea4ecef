"""Explore an embedding in the browser: a map of all images, and search by a new image."""
