"""Local steps whose number grows as the step size falls."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..reading import read_expression
from .assembly import Assembly
from .optimizer import Draw, GradientDescent, Optimizer, Vector

NOT_AT_A_STEP = (
    "optimizer: LocalRounds says what happens as α → 0; at a step size take "
    "LocalSteps(n, workers) with n = T/α"
)


@dataclass(frozen=True)
class LocalRounds(Optimizer):
    """T/α steps of descent on each of several workers, then the mean of all, T fixed as α → 0.

    The limit counts the local steps of one worker. For a fixed number of steps, or at a step size
    that is not small, take `LocalSteps`, which counts rounds.

    Parameters
    ----------
    time : number or Expr
        T > 0, local steps times step size.
    workers : int
        Workers p.
    """

    time: sp.Expr
    workers: int

    def __post_init__(self) -> None:
        time = read_expression("time", self.time)
        if not time.is_positive:
            raise ProblemError(f"time: expected T > 0, got {self.time!r}")
        if not isinstance(self.workers, int) or self.workers < 1:
            raise ProblemError(f"workers: expected a positive integer, got {self.workers!r}")
        object.__setattr__(self, "time", time)

    @property
    def innermost(self) -> Optimizer:
        """Descent."""
        return GradientDescent()

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """One local step."""
        return GradientDescent().update(weights, memory, draw)

    def assembled(self, steps: Assembly) -> Assembly:
        """Refused: how many steps a round has depends on the step size."""
        raise NotCoveredError(NOT_AT_A_STEP)
