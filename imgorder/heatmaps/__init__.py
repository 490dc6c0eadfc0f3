"""Motion heat maps: what the network saw move, laid over the photos."""
