"""A noise model at points of its Γ, in numbers, by differences of L and L̂ alone.

Nothing here knows how the limit was derived: derivatives in the noise and beyond the first in the
weights are differences to 50 digits, P comes from the null space of H, and the Lyapunov equation is
solved in the eigenbasis of H.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..model.problem import NoisyGradientDescent
from ..noise.moments import persistent_noise
from ..symbolic.bundles import restored
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import Point

DIGITS = 120
"""Working precision: differences lose three times the digits of a step."""

STEP = mpmath.mpf(10) ** -25
"""Step of the differences, whose error is its square."""

POINTS = 3
"""Points of Γ at which a step is checked."""

Vector = Any
Matrix = Any


class Trial:
    """A problem in numbers; call its methods in a precision of `DIGITS`.

    Parameters
    ----------
    problem : NoisyGradientDescent
        The model.
    rank : int
        Rank of H on Γ.
    """

    def __init__(self, problem: NoisyGradientDescent, rank: int) -> None:
        self.problem, self.rank = problem, rank
        self._known: dict[Any, Any] = {}

    def loss(self, p: Point) -> Any:
        """L."""
        return self._loss.value(p)[0]

    def slope(self, p: Point) -> Vector:
        """∇L, shape (N, 1)."""
        return mpmath.matrix(self._loss.gradient(p, self.size))

    def hessian(self, p: Point) -> Matrix:
        """H by differences of ∇L, shape (N, N)."""
        return self._once(("hessian", p), lambda: self._hessian(p))

    def _hessian(self, p: Point) -> Matrix:
        columns = [self._across(self.slope, p, e) for e in self._units()]
        rows = [[columns[j][i] for j in range(self.size)] for i in range(self.size)]
        h = mpmath.matrix(rows)
        return (h + h.T) / 2

    def third(self, p: Point, s: Matrix) -> Vector:
        """D³L[S] by second differences of ∇L along the eigenvectors of S."""
        values, vectors = mpmath.eigsy((s + s.T) / 2)
        total = mpmath.zeros(self.size, 1)
        for k, value in enumerate(values):
            if value:
                total += value * self._bent(self.slope, p, vectors[:, k])
        return total

    def spectrum(self, p: Point) -> tuple[list[Any], Matrix]:
        """The `rank` largest eigenvalues of H, ascending, and their eigenvectors as columns."""
        return self._once(("spectrum", p), lambda: self._spectrum(p))

    def _spectrum(self, p: Point) -> tuple[list[Any], Matrix]:
        values, vectors = mpmath.eigsy(self.hessian(p))
        first = self.size - self.rank
        return list(values)[first:], vectors[:, first:]

    def null_values(self, p: Point) -> list[Any]:
        """The other eigenvalues of H."""
        values, _ = mpmath.eigsy(self.hessian(p))
        return list(values)[: self.size - self.rank]

    def projector(self, p: Point) -> Matrix:
        """P on the null space of H, shape (N, N)."""
        _, v = self.spectrum(p)
        return mpmath.eye(self.size) - v * v.T

    def regularizer(self, p: Point) -> Any:
        """Reg by second differences of L̂ in the noise, and by its jumps."""
        penalty = self._penalty.value(p)[0]
        if self.problem.noisy_loss is None:
            return penalty
        return penalty + self._averaged(p, lambda z: self._excess(p, z))

    def covariance(self, p: Point) -> Matrix:
        """Σ by differences of ∇L̂ in the noise, and by its jumps, shape (N, N)."""
        return self._once(("covariance", p), lambda: self._covariance(p))

    def _covariance(self, p: Point) -> Matrix:
        if self.problem.noisy_loss is None:
            return self._stated(p)
        return self._averaged(p, lambda z: self._spread(p, z))

    def field(self, p: Point, potential: sp.Expr) -> Vector:
        """The gradient of a potential in the weights, shape (N, 1)."""
        return mpmath.matrix(self._program(potential).gradient(p, self.size))

    def values(self, p: Point, expressions: Sequence[sp.Expr]) -> list[Any]:
        """Values of expressions in weights and parameters."""
        return self._program(*expressions).value(p)

    def noisy(self, p: Point, eta: Sequence[Any]) -> Any:
        """L̂(w, η)."""
        return self._noisy.value((*p, *eta))[0]

    def noisy_slope(self, p: Point, eta: Vector) -> Vector:
        """∇_wL̂(w, η), shape (N, 1)."""
        if self.problem.noisy_loss is None:
            g: Matrix = restored(self.problem.noise_matrix, self._matrix.value(p))
            return self.slope(p) + g * (eta if g.cols == len(eta) else mpmath.zeros(g.cols, 1))
        return mpmath.matrix(self._noisy.gradient((*p, *eta), self.size))

    def stationary(self, p: Point, s: Matrix, damping: Any = 0, dephasing: Any = 0) -> Matrix:
        """X with HX + XH − τHXH + γ[H, [H, X]] = QSQ, entry by entry in the eigenbasis of H."""
        values, v = self.spectrum(p)
        inner = v.T * s * v
        for a, first in enumerate(values):
            for b, second in enumerate(values):
                slowed = damping * first * second - dephasing * (first - second) ** 2
                inner[a, b] /= first + second - slowed
        return v * inner * v.T

    def mixed(self, p: Point, s: Matrix, dephasing: Any = 0) -> Matrix:
        """(H + γH²)⁺SP and its transpose."""
        values, v = self.spectrum(p)
        inverse = v * mpmath.diag([1 / (x + dephasing * x**2) for x in values]) * v.T
        half = inverse * s * self.projector(p)
        return half + half.T

    def normal(self, p: Point, s: Matrix) -> Vector:
        """−H⁺D³L[PSP], shape (N, 1)."""
        values, v = self.spectrum(p)
        tangent = self.projector(p)
        inverse = v * mpmath.diag([1 / x for x in values]) * v.T
        return -(inverse * self.third(p, tangent * s * tangent))

    @property
    def size(self) -> int:
        """N."""
        return self.problem.dimension

    # Differences ----------------------------------------------------------------------------

    def _units(self) -> Iterator[Vector]:
        for i in range(self.size):
            e = mpmath.zeros(self.size, 1)
            e[i] = 1
            yield e

    def _moved(self, p: Point, along: Vector, step: Any) -> Point:
        w = tuple(x + step * along[i] for i, x in enumerate(p[: self.size]))
        return (*w, *p[self.size :])

    def _across(self, f: Callable[[Point], Any], p: Point, v: Vector) -> Any:
        return (f(self._moved(p, v, STEP)) - f(self._moved(p, v, -STEP))) / (2 * STEP)

    def _bent(self, f: Callable[[Point], Any], p: Point, v: Vector) -> Any:
        ahead, behind = f(self._moved(p, v, STEP)), f(self._moved(p, v, -STEP))
        return (ahead - 2 * f(p) + behind) / STEP**2

    # The noise ------------------------------------------------------------------------------

    def _excess(self, p: Point, zeta: Vector) -> Any:
        """½ C:∇²_ηL̂ and the jumps, with the noise of fixed size at ζ."""

        def noisy(eta: Vector) -> Any:
            return self._noisy.value((*p, *eta))[0]

        total = mpmath.mpf(0)
        for c in self._columns(p, lasting=False):
            ahead, behind = noisy(zeta + STEP * c), noisy(zeta - STEP * c)
            total += (ahead - 2 * noisy(zeta) + behind) / (2 * STEP**2)
        for rate, z in self._jumps(p):
            linear = (noisy(zeta + STEP * z) - noisy(zeta - STEP * z)) / (2 * STEP)
            total += rate * (noisy(zeta + z) - noisy(zeta) - linear)
        return total

    def _spread(self, p: Point, zeta: Vector) -> Matrix:
        """G C Gᵀ + ∫ g gᵀ ν(dz), with the noise of fixed size at ζ."""
        total = mpmath.zeros(self.size)
        for c in self._columns(p, lasting=False):
            ahead, behind = (self.noisy_slope(p, zeta + s * STEP * c) for s in (1, -1))
            g = (ahead - behind) / (2 * STEP)
            total += g * g.T
        for rate, z in self._jumps(p):
            g = self.noisy_slope(p, zeta + z) - self.noisy_slope(p, zeta)
            total += rate * (g * g.T)
        return total

    def _averaged(self, p: Point, f: Callable[[Vector], Any]) -> Any:
        """The mean over noise of fixed size of what is quadratic in it."""
        zero = mpmath.zeros(len(self.problem.noise), 1)
        still = f(zero)
        total = still
        for c in self._columns(p, lasting=True):
            total += (f(c) + f(-c) - 2 * still) / 2
        return total

    def _columns(self, p: Point, lasting: bool) -> list[Vector]:
        """Columns of a root of C: of the noise that keeps its size, or of that which shrinks."""
        lasts = set(persistent_noise(self.problem))
        noise = self.problem.noise
        kept = [i for i, s in enumerate(noise) if (s in lasts) is lasting]
        if not kept:
            return []
        n = len(noise)
        flat = self._law.value(p)
        c = mpmath.matrix([[flat[i * n + j] for j in kept] for i in kept])
        values, vectors = mpmath.eigsy(c)
        columns = []
        for k, value in enumerate(values):
            if value > STEP:
                column = mpmath.zeros(n, 1)
                for place, i in enumerate(kept):
                    column[i] = mpmath.sqrt(value) * vectors[place, k]
                columns.append(column)
        return columns

    def _jumps(self, p: Point) -> list[tuple[Any, Vector]]:
        found = []
        for jump in self.problem.levy_pair.jumps:
            rate, *z = self._program(jump.rate, *jump.displacement).value(p)
            found.append((rate, mpmath.matrix(z)))
        return found

    def _stated(self, p: Point) -> Matrix:
        """Σ of a model that is stated by its gradient noise."""
        g: Matrix = restored(self.problem.noise_matrix, self._matrix.value(p))
        if not self.problem.noise:
            return g
        total = mpmath.zeros(g.rows)
        for c in self._columns(p, lasting=False):
            total += (g * c) * (g * c).T
        for rate, z in self._jumps(p):
            total += rate * (g * z) * (g * z).T
        return total

    # Programs -------------------------------------------------------------------------------

    def _once(self, key: Any, made: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = made()
        return self._known[key]

    def _program(self, *expressions: sp.Expr) -> Program:
        return self._once(expressions, lambda: Program(self._symbols, expressions))

    @property
    def _symbols(self) -> tuple[sp.Symbol, ...]:
        return self.problem.weights + self.problem.parameters

    @cached_property
    def _loss(self) -> Program:
        return Program(self._symbols, [self.problem.loss])

    @cached_property
    def _noisy(self) -> Program:
        return Program((*self._symbols, *self.problem.noise), [self.problem.noisy_loss])

    @cached_property
    def _penalty(self) -> Program:
        return Program(self._symbols, [self.problem.penalties.noise])

    @cached_property
    def _matrix(self) -> Program:
        return Program(self._symbols, list(self.problem.noise_matrix))  # type: ignore[arg-type]

    @cached_property
    def _law(self) -> Program:
        return Program(self._symbols, list(self.problem.levy_pair.covariance))
