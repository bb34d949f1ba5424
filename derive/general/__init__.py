"""Limits of models whose number of weights, of samples, and whose loss stay symbolic."""
