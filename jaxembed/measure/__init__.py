"""Embeddings that were made elsewhere, evaluated by the same protocol."""
