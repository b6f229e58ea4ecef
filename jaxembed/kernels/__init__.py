"""Kernels: what is fast on this machine."""
