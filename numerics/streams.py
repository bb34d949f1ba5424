"""Random streams keyed by (seed, path index)."""
