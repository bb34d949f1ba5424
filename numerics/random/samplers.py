"""The noise laws in code: every law is drawn exactly as `derive.laws` defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from derive.laws.choice import Choice
from derive.laws.independent import groups_of
from derive.laws.law import Law
from derive.laws.minibatch import Minibatch
from derive.laws.rare_jumps import Bernoulli, CustomLaw
from derive.laws.scaled import Scaled
from derive.laws.shrinking import Gaussian, Rademacher, Sphere, TwoPoint, Uniform

from ..errors import NoiseError
from .draws import (
    SCRATCH_ROWS,
    Chosen,
    Clear,
    Correlated,
    Draw,
    Dropout,
    Flat,
    Jumps,
    Multiset,
    Normal,
    OnSphere,
    Rescaled,
    Signs,
    Subset,
    TwoValues,
)
from .statements import If, Statement
from .streams import Doubles


@dataclass(frozen=True)
class NoiseSampler:
    """How the noise of one step is drawn.

    Attributes
    ----------
    draws : tuple of Draw
        In the order in which they are made.
    positions : tuple of (row, stride, period)
        For each noise coordinate: at step k it is row `row + stride·(k mod period)` of the buffer.
        Copies of the coordinates follow each other.
    """

    draws: tuple[Draw, ...]
    positions: tuple[tuple[int, int, int], ...]

    @property
    def rows(self) -> int:
        """Rows of the buffer, the scratch rows included."""
        return max(d.row + d.width * d.period for d in self.draws)

    def tables(self, sigma: float) -> tuple[Doubles, ...]:
        """Numbers each draw needs at noise scale σ."""
        return tuple(np.ascontiguousarray(d.table(sigma), dtype=np.float64) for d in self.draws)

    @property
    def loads(self) -> list[str]:
        """Code that names the tables of the draws."""
        return [f"table{i} = tables[{i}]" for i in range(len(self.draws))]

    @property
    def statements(self) -> list[Statement]:
        """Code of the draws of step k, if the run is noisy at all."""
        found: list[Statement] = []
        for i, draw in enumerate(self.draws):
            due = "noisy" if draw.period == 1 else f"noisy and k % {draw.period} == 0"
            found.append(If(due, *draw.code(f"table{i}")))
        return found


def sampler_for(
    law: Law,
    noise: Sequence[Any],
    *,
    own: Sequence[Any] = (),
    copies: int = 1,
    first_row: int = SCRATCH_ROWS,
) -> NoiseSampler:
    """Draws of a law.

    Parameters
    ----------
    law : Law
        With every parameter bound to a number.
    noise : sequence of Symbol
        The noise coordinates.
    own : sequence of Symbol
        Coordinates of which there are several draws in each step, whole groups of the law.
    copies : int
        How many; of the others there is one.
    first_row : int
        First row of the buffer that the draws may fill.

    Raises
    ------
    NoiseError
        If the law has a symbol without a value, or no sampler.
    """
    draws: list[Draw] = []
    where: dict[tuple[int, Any], tuple[int, int, int]] = {}
    row = first_row
    for symbols, part in groups_of(law, tuple(noise)):
        count = copies if symbols and symbols[0] in own else 1  # a limit may have no noise left
        made = draws_of(part, row, len(symbols), count)
        size, width, period = made[0].size, made[0].width, made[0].period
        draws += made
        where |= {
            (copy, s): (row + size * copy + i, width, period)
            for copy in range(count)
            for i, s in enumerate(symbols)
        }
        row += width * period
    places = ((copy, s) for copy in range(copies) for s in noise)
    positions = (where[place] for place in places if place in where)
    return NoiseSampler(tuple(draws), tuple(positions))


@singledispatch
def draws_of(law: Law, row: int, size: int, copies: int) -> list[Draw]:
    """Draws of a law, of which each kind has its own; ``draws_of.register`` teaches a new one.

    Parameters
    ----------
    law : Law
        With every parameter bound to a number.
    row : int
        First row of the noise buffer that they fill.
    size : int
        Noise coordinates.
    copies : int
        Independent draws of the coordinates in each step.

    Raises
    ------
    NoiseError
        If there is none.
    """
    raise NoiseError(
        f"law: no sampler for {type(law).__name__}; use one of those that derive exports, or "
        "register one with numerics.random.samplers.draws_of.register"
    )


@draws_of.register
def _(law: Choice, row: int, size: int, copies: int) -> list[Draw]:
    values = tuple(tuple(_number("values", x) for x in value) for value in law.values)
    chances = tuple(_number("probabilities", p) for p in law.probabilities)
    return [Chosen(row, size, copies=copies, values=values, probabilities=chances)]


@draws_of.register
def _(law: Rademacher, row: int, size: int, copies: int) -> list[Draw]:
    return [Signs(row, size, copies=copies)]


@draws_of.register
def _(law: Sphere, row: int, size: int, copies: int) -> list[Draw]:
    return [OnSphere(row, size, 1 + size * copies % 2, copies=copies)]


@draws_of.register
def _(law: Uniform, row: int, size: int, copies: int) -> list[Draw]:
    return [Flat(row, size, copies=copies)]


@draws_of.register
def _(law: Bernoulli, row: int, size: int, copies: int) -> list[Draw]:
    return [Dropout(row, size, copies=copies)]


@draws_of.register
def _(law: Gaussian, row: int, size: int, copies: int) -> list[Draw]:
    return [_gaussian(law.covariance, row, size, copies)]


@draws_of.register
def _(law: TwoPoint, row: int, size: int, copies: int) -> list[Draw]:
    return [TwoValues(row, size, copies=copies, positive=_number("skewness", law.value))]


@draws_of.register
def _(law: Minibatch, row: int, size: int, copies: int) -> list[Draw]:
    if copies > 1:
        raise NoiseError("law: a minibatch is drawn of all samples at once, not for each")
    kind = Multiset if law.replacement else Subset
    return [kind(row, size, batch=int(_number("batch_size", law.batch_size)))]


@draws_of.register
def _(law: Scaled, row: int, size: int, copies: int) -> list[Draw]:
    return [*draws_of(law.law, row, size, copies), Rescaled(row, size, copies=copies)]


@draws_of.register
def _(law: CustomLaw, row: int, size: int, copies: int) -> list[Draw]:
    still = law.covariance.is_zero_matrix
    base: Draw = Clear(row, size, copies=copies)
    if not still:
        base = _gaussian(law.covariance, row, size, copies)
    if not law.jumps:
        return [base]
    z = tuple(tuple(_number("jumps", x) for x in jump.displacement) for jump in law.jumps)
    rates = tuple(_number("jumps", jump.rate) for jump in law.jumps)
    return [base, Jumps(row, size, base.period, z, rates, copies=copies)]


def _gaussian(covariance: Any, row: int, size: int, copies: int) -> Draw:
    period = 1 + size * copies % 2
    if covariance is None:
        return Normal(row, size, period, copies=copies)
    matrix = np.array([_number("covariance", c) for c in covariance]).reshape(size, size)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    # C = root rootᵀ = RᵀR with the triangle R of rootᵀ; no pivots, so singular C are welcome.
    factor = np.asarray(np.linalg.qr(root.T, mode="r")).T
    return Correlated(row, size, period, tuple(map(tuple, factor.tolist())), copies=copies)


def _number(name: str, expression: Any) -> float:
    if not expression.is_number:
        raise NoiseError(
            f"{name}: {expression} has no value; bind it with problem.subs({{...}}) to simulate"
        )
    return float(expression)
