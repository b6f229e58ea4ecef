"""Figures, drawn from the files in runs' folders."""
