"""Random numbers: streams that are keyed by path, and the laws drawn from them."""
