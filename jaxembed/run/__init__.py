"""A run: dataset × encoder × objective, as a config says, checked before anything starts."""
