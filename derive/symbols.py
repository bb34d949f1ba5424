"""The two small parameters of the theory, as symbols of their own kind."""

import sympy as sp


class ScaleSymbol(sp.Symbol):
    """A symbol that never equals a user's symbol of the same name."""

    __slots__ = ()


alpha = ScaleSymbol("alpha", positive=True)
"""Step size α of gradient descent."""

sigma = ScaleSymbol("sigma", positive=True)
"""Noise scale σ: the covariance of the noise is of order σ²."""
