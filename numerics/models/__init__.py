"""A limit as fast functions of points."""
