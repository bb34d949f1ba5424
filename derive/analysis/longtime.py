"""What a limit does in the end: equilibria of a flow on Γ, invariant density of a diffusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..errors import DeriveError, ManifoldError, NotCoveredError
from ..symbolic.numbers.roots import ARITHMETIC_FAILURES, WORKING_DIGITS, Point
from .agreement import pointwise

DIFFERENCE = mpmath.mpf(10) ** -18
"""Step of the central differences along Γ: their error is its square."""

AT_REST = mpmath.mpf(10) ** -28
"""Size of the drift, relative to the start's, at which a point counts as an equilibrium."""

FLAT = mpmath.mpf(10) ** -12
"""Eigenvalues of the linearisation below this decide nothing about stability."""

STEPS = 60
SAME = mpmath.mpf(10) ** -10


@dataclass(frozen=True)
class Equilibrium:
    """A point of Γ where the drift vanishes.

    Attributes
    ----------
    point : mapping of Symbol to number
        The weights there, to about 30 digits.
    eigenvalues : tuple
        Eigenvalues of the linearisation along Γ, M numbers, per unit of slow time, ascending by
        real part.
    """

    point: Mapping[sp.Symbol, Any]
    eigenvalues: tuple[Any, ...]

    @property
    def rate(self) -> Any:
        """Largest real part of the eigenvalues, per unit of slow time: below 0 where stable."""
        return mpmath.re(self.eigenvalues[-1])

    @property
    def kind(self) -> str:
        """One of "stable", "repelling" (in some direction), "undecided"."""
        return {True: "stable", False: "repelling", None: "undecided"}[self.stable]

    @property
    def stable(self) -> bool | None:
        """Whether nearby points of Γ flow to it; None where the linearisation does not say.

        An eigenvalue zero belongs to a bifurcation, or to a set of equilibria of positive
        dimension, along which a slower scale may act.
        """
        return None if abs(self.rate) < FLAT else bool(self.rate < 0)


def equilibria(
    limit: LimitingEquation, starts: Iterable[Sequence[Any]] | None = None
) -> list[Equilibrium]:
    """Equilibria of a deterministic limit, by damped Newton iterations along Γ.

    Parameters
    ----------
    limit : LimitingEquation
        A limit without diffusion and without free parameters.
    starts : sequences of N numbers, optional
        Where to start, near Γ; the points of Γ found in the derivation if not given.

    Returns
    -------
    list of Equilibrium
        Those that were found; there may be others.

    Raises
    ------
    DeriveError
        If the limit has diffusion, is at rest everywhere, or has free parameters.
    """
    limit = limit.written_out()
    search = _Search(limit)
    points = limit.manifold.points if starts is None else map(_as_point, starts)
    found: list[Equilibrium] = []
    with mpmath.workdps(WORKING_DIGITS):
        for start in points:
            at = search.run(start)
            if at is not None and not any(_close(at, e.point.values()) for e in found):
                found.append(search.describe(at))
    return found


class _Search:
    """Newton's method for the drift in coordinates of Γ around the current point."""

    def __init__(self, limit: LimitingEquation) -> None:
        if limit.problem.parameters:
            raise DeriveError(
                f"limit: bind the parameters {limit.problem.parameters} with subs() before "
                "looking for equilibria"
            )
        if limit.time_scale is None or limit.has_diffusion:
            raise DeriveError(
                "limit: equilibria are those of a flow; this limit "
                + ("is at rest" if limit.time_scale is None else "has diffusion")
            )
        self._manifold, self._field = limit.manifold, pointwise(limit)
        self._system = limit.manifold.probe.system

    def run(self, point: Point) -> Point | None:
        """The equilibrium that the iteration from a point leads to, or None."""
        at = self._system.polish(point)
        if at is None:
            return None
        size = scale = mpmath.norm(self._drift(at))
        damping = mpmath.mpf(0)
        for _ in range(STEPS):
            if size <= AT_REST * max(scale, 1):
                return at
            basis, slope, matrix = self._linearise(at)
            gram = matrix.T * matrix + damping * mpmath.eye(matrix.rows)
            try:
                step = -mpmath.lu_solve(gram, matrix.T * slope)
                moved = self._along(at, basis * (step / max(1, 2 * mpmath.norm(step))))
                reached = mpmath.inf if moved is None else mpmath.norm(self._drift(moved))
            except ARITHMETIC_FAILURES:
                moved, reached = None, mpmath.inf
            if moved is not None and reached < size:
                at, size, damping = moved, reached, damping / 10
            else:
                damping = max(10 * damping, mpmath.mnorm(matrix, "f") ** 2 / 100)
        return None

    def describe(self, at: Point) -> Equilibrium:
        """The equilibrium at a point, with its linearisation."""
        values, _ = mpmath.eig(self._linearise(at)[2])
        return Equilibrium(self._manifold.named(at), tuple(sorted(values, key=mpmath.re)))

    def _linearise(self, at: Point) -> tuple[Any, Any, Any]:
        """Orthonormal basis of the tangent space, drift and its derivative in that basis."""
        basis = _tangent_basis(self._manifold.probe.geometry(at).frame.jacobian)
        columns = []
        for k in range(basis.cols):
            shift = DIFFERENCE * basis[:, k]
            ahead, behind = (self._along(at, sign * shift) for sign in (1, -1))
            difference = self._drift(ahead) - self._drift(behind)
            columns.append(basis.T * difference / (2 * DIFFERENCE))
        matrix = mpmath.matrix([[c[i] for c in columns] for i in range(basis.cols)])
        return basis, basis.T * self._drift(at), matrix

    def _along(self, at: Point, shift: Any) -> Point | None:
        return self._system.polish(tuple(x + d for x, d in zip(at, shift, strict=True)))

    def _drift(self, at: Point | None) -> Any:
        if at is None:
            raise ManifoldError("left Γ")
        return self._field.drift(self._manifold.probe.geometry(at))


def invariant_density(limit: LimitingEquation, origin: Any = 0) -> sp.Expr:
    """Density that a diffusion leaves invariant, up to a factor, where it is reversible.

    Parameters
    ----------
    limit : LimitingEquation
        A limit with diffusion.
    origin : number
        Where the integral over the coordinate of a chart starts; the diffusion must not vanish
        between it and the points of interest.

    Returns
    -------
    Expr
        With a chart of one coordinate, the density of that coordinate with zero current,
        (1/τ²) exp ∫ 2a/τ² dθ; on a closed curve it is periodic exactly where the diffusion is
        reversible. Without one, for additive noise, the density with respect to volume on Γ,
        (det₊H)^{-1/2} for the limit α → 0, times exp(−2U) with a penalty U.

    Raises
    ------
    NotCoveredError
        If the limit has no diffusion, or is not known to be reversible.
    """
    if not limit.has_diffusion or limit.time_scale is None:
        raise NotCoveredError("limit: no diffusion, hence no invariant density; see equilibria()")
    form = limit.intrinsic
    if form is not None and len(form.coordinates) == 1:
        (theta,) = form.coordinates
        spread = sp.simplify((form.diffusion * form.diffusion.T)[0])
        slope = sp.simplify(2 * form.drift[0] / spread)
        exponent = sp.Integral(slope, (theta, origin, theta))
        return sp.exp(exponent) / spread
    covariance, special = limit.moments.covariance, limit.special
    isotropic = covariance == covariance[0, 0] * sp.eye(covariance.rows)
    if special is None or special.potential is None or not isotropic or limit.second_weight != 0:
        raise NotCoveredError(
            "limit: reversibility is known for additive noise with a closed form of det₊H, and in "
            "a chart of one coordinate"
        )
    # Drift −P∇W beside Brownian motion of variance c²s on Γ has the density exp(−2W/(c²s)).
    potential = 2 * limit.ito_weight * special.potential
    potential += limit.equation.at(limit.equation.potential)
    return sp.simplify(sp.exp(-2 * potential / (limit.noise_weight**2 * covariance[0, 0])))


def _tangent_basis(rows: Any) -> Any:
    """Orthonormal basis of the kernel of a matrix with orthonormal rows, shape (N, M)."""
    n = rows.cols
    projector = mpmath.eye(n) - rows.T * rows
    _, vectors = mpmath.eigsy(projector)
    return vectors[:, rows.rows : n]


def _as_point(start: Sequence[Any]) -> Point:
    return tuple(mpmath.mpmathify(x) for x in start)


def _close(at: Point, other: Iterable[Any]) -> bool:
    return all(abs(x - y) < SAME for x, y in zip(at, other, strict=True))
