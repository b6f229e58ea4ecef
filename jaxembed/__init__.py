"""Structured image embeddings, learned four ways in pure JAX: a run is dataset × encoder × objective."""

__version__ = "0.1.0"
