"""A run's folder as files -> values, with NumPy alone: what making a run writes, and showing it reads.

config.json  metrics.jsonl  result.json  sample.npz  figures/*.png  checkpoint/<step>/
"""
