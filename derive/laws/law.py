"""What a noise law is, and the laws that there are.

A law with Cov η = σ²(C + ∫ z zᵀ dν) enters the limit as σ → 0 through its Lévy pair (C, ν): the
covariance C of its small fluctuations and the measure ν of its jumps of size O(1); a law that
shrinks with σ has ν = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from inspect import isabstract
from typing import Any, ClassVar, Self

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from .expansions import LevyPair, Part, Products

Quantity = tuple[str, str, Any]
"""A letter of a description as text and as LaTeX, and its value."""


class Law(ABC):
    """Law of one draw η of the noise; a frozen dataclass."""

    shrinks: ClassVar[bool] = True
    """Whether the law tends to zero as σ → 0 (a minibatch of fixed size does not)."""

    has_independent_coordinates: bool = False
    """Whether it is the same law for each coordinate, independent of the others."""

    @abstractmethod
    def levy_pair(self, dimension: int) -> LevyPair:
        """Lévy pair in `dimension` noise coordinates, or `ProblemError` if that does not fit."""

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """Expansions of the independent parts of the law, for the scales beyond the theorems."""
        raise NotCoveredError(self._unknown)

    def products(self, symbols: Sequence[sp.Symbol]) -> Products:
        """Covariance of products of two coordinates, for the scales beyond the theorems."""
        raise NotCoveredError(self._unknown)

    def largest_third_moment(self, dimension: int) -> sp.Expr | None:
        """Largest |E ζ_iζ_jζ_k| for a law η = σζ; None if the law is another, or it is unknown."""
        return None

    @property
    def description(self) -> str:
        """The law in words, with the letters of `quantities`."""
        return f"law {type(self).__name__}"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the description speaks of."""
        return tuple(
            (name, rf"\text{{{name}}}", value)
            for name, value in _arguments(self).items()
            if isinstance(value, sp.Basic | sp.MatrixBase)
        )

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """Bind symbolic parameters of the law."""
        bound = {
            name: value.subs(values)
            for name, value in _arguments(self).items()
            if isinstance(value, sp.Basic | sp.MatrixBase)
        }
        return replace(self, **bound) if bound else self  # type: ignore[type-var]

    @property
    def _unknown(self) -> str:
        return (
            "law: this moment beyond order σ² is not known for "
            f"{type(self).__name__}; it is for laws that shrink with σ, and the mean of the noisy "
            "loss for rare jumps too"
        )


def _arguments(law: Law) -> dict[str, Any]:
    """What a law is made of."""
    return {f.name: getattr(law, f.name) for f in fields(law) if f.init}  # type: ignore[arg-type]


def known_laws() -> dict[str, type[Law]]:
    """All laws that can be made, those of this room and those that users define, by name.

    In alphabetical order, whatever was imported first. A law is a frozen dataclass derived from
    `Law`; saving it, stating it in a model file and printing it need nothing else.
    `numerics.random.samplers.draws_of` is told how to draw it.
    """
    found: dict[str, type[Law]] = {}
    open_classes = Law.__subclasses__()
    while open_classes:
        kind = open_classes.pop(0)
        open_classes = kind.__subclasses__() + open_classes
        if is_dataclass(kind) and not isabstract(kind):
            found.setdefault(kind.__name__, kind)
    return dict(sorted(found.items()))


def check_dimension(law: Law, expected: int, dimension: int) -> None:
    """Refuse a law of another number of noise coordinates."""
    if expected != dimension:
        raise ProblemError(
            f"law: {type(law).__name__} is a law of {expected} noise coordinates, "
            f"but `noise` names {dimension}; make the two agree"
        )
