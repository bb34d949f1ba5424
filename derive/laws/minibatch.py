"""The weights of samples in batches of fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression
from .expansions import LevyPair
from .law import Law, Quantity, check_dimension


@dataclass(frozen=True)
class Minibatch(Law):
    """Weights 1 + η_i = (n/B)·(how often sample i is drawn); it does not shrink with σ.

    Parameters
    ----------
    samples : int or Symbol
        Number n of samples, one noise coordinate each.
    batch_size : int or Symbol
        Batch size B.
    replacement : bool
        Whether a sample may be drawn more than once.
    """

    samples: Any
    batch_size: Any
    replacement: bool = False
    shrinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        n = read_expression("samples", self.samples)
        batch = read_expression("batch_size", self.batch_size)
        if not isinstance(self.replacement, bool):
            raise ProblemError(f"replacement: expected True or False, got {self.replacement!r}")
        if not (n.is_integer and n.is_positive) and not n.is_Symbol:
            raise ProblemError(f"samples: expected a positive integer, got {self.samples!r}")
        if (not batch.is_Symbol and not (batch.is_integer and batch.is_positive)) or (
            not self.replacement and (batch - n).is_positive
        ):
            raise ProblemError(
                f"batch_size: expected an integer from 1 to samples = {n}"
                f"{' or more' if self.replacement else ''}, got {batch}"
            )
        object.__setattr__(self, "samples", n)
        object.__setattr__(self, "batch_size", batch)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Covariance of the sampling weights, without the factor σ²."""
        if self.samples.is_Integer:
            check_dimension(self, int(self.samples), dimension)
        n, batch = sp.Integer(dimension), self.batch_size
        if self.replacement:
            scale = n / batch
        else:
            scale = n * (n - batch) / (batch * (n - 1)) if dimension > 1 else sp.Integer(0)
        return LevyPair(sp.ImmutableMatrix(scale * (sp.eye(dimension) - sp.ones(dimension) / n)))

    @property
    def description(self) -> str:
        """The law in words."""
        how = "with" if self.replacement else "without"
        return f"weights of batches of {self.batch_size} of {self.samples}, {how} replacement"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """None beside the words."""
        return ()
