"""Statistics and tests of one against the other."""
