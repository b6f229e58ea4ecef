"""What a run is spread over: the devices of this process, and those of others."""
