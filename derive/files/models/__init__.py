"""Model files: a table of known keys, expressions that are read and never evaluated."""
