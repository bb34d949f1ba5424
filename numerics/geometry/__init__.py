"""Γ in floating point: frames, third derivatives, projections."""
