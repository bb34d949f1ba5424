"""The two small parameters of the theory, as symbols of their own kind."""

import sympy as sp


class ScaleSymbol(sp.Symbol):
    """A symbol that never equals a user's symbol of the same name."""

    __slots__ = ()


alpha = ScaleSymbol("alpha", positive=True)
"""Step size α of gradient descent."""

sigma = ScaleSymbol("sigma", positive=True)
"""Noise scale σ: the covariance of the noise is of order σ²."""

GENERIC = {alpha: sp.Rational(37, 1000), sigma: sp.Rational(53, 1000)}
"""Values given to a symbolic step size and noise scale where something is looked at in numbers."""
