"""A derivation as data: its steps, the hypotheses, and a check of each result."""
