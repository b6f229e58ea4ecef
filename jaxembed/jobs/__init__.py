"""What launch.py and `jaxembed train` do: one run, or a suite of them."""
