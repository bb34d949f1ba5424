"""The limiting equation: its coefficients, its closed forms, and the scales beyond it."""
