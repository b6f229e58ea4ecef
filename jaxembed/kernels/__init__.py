"""Kernels: operations rewritten where XLA's own are slow, and how fast this machine is."""
