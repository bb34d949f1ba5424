"""Formulas only, each with its citation, for any scalar type."""
