"""Runs: the recursion, the limit along Γ, and their comparison, recorded and resumed."""
