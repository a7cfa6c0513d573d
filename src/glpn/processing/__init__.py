"""Processing: a photograph becomes pixels for the network, and depth the photograph's size."""
