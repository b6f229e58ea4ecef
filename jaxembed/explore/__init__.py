"""A page on this machine to look around in an embedding: a map of all images, and a search by a new picture."""
