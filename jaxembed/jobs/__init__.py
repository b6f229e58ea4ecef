"""What launch.py does: one run, or a suite of them."""
