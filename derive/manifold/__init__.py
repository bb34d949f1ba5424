"""Γ: constraints, points, local geometry, charts."""
