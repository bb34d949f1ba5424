"""Covariances of the noise, and their factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_matrix
from ..symbolic.calculus import semidefinite_factor
from ..symbolic.effort import TooLong
from .expansions import Direction


def read_covariance(covariance: Any) -> sp.ImmutableMatrix:
    """A symmetric positive semi-definite matrix; a `ProblemError` otherwise."""
    matrix = read_matrix("covariance", covariance, "a square matrix")
    if matrix.rows != matrix.cols:
        raise ProblemError(f"covariance: expected a square matrix, got shape {matrix.shape}")
    try:
        factor = semidefinite_factor(matrix)
    except TooLong as too_long:
        raise ProblemError(
            "covariance: its symbolic entries are too long to see whether it is positive "
            "semi-definite; shorten them, or bind the parameters to numbers"
        ) from too_long
    if factor is None:
        raise ProblemError(
            f"covariance: {sp.sstr(matrix.tolist())} is not symmetric positive semi-definite; "
            "a covariance must be (singular is allowed)"
        )
    return matrix


def columns(covariance: sp.ImmutableMatrix, symbols: Sequence[sp.Symbol]) -> Iterator[Direction]:
    """Columns of the factor F, by noise symbol."""
    factor = square_root(covariance)
    return (dict(zip(symbols, factor[:, a], strict=True)) for a in range(factor.cols))


def square_root(covariance: sp.ImmutableMatrix) -> sp.Matrix:
    """Factor F with F Fᵀ = C of a noise covariance."""
    if covariance.is_Identity:
        return sp.eye(covariance.rows)
    factor = semidefinite_factor(covariance)
    if factor is None:
        raise ProblemError(f"law: the covariance {covariance} is not positive semi-definite")
    return factor
