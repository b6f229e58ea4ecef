"""A run's folder, without JAX: training writes these files, figures and reports read them.

config.json  metrics.jsonl  result.json  sample.npz  diagnosis.npz  encoder.safetensors  figures/*.png
doctor/*.csv  checkpoint/<step>/
"""
