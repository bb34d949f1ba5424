"""Derivatives, programs, roots and zero tests of expressions; no descent and no Γ."""
