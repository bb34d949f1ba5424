"""Γ at points of it, and the walk along it; what is not Γ is refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mpmath

from ...errors import ManifoldError
from ...model.problem import NoisyGradientDescent
from ...symbolic.calculus import WithoutCaches
from ...symbolic.numbers.roots import WORKING_DIGITS, Point
from ..local_geometry import LocalGeometry, Probe
from ..points import respects_signs, short, show_point
from .admissible import admissible_values
from .search import TINY, Search

POINTS = 20
"""Points of Γ on which numerical evidence rests (theory, section 5)."""


@dataclass(frozen=True)
class Survey(WithoutCaches):
    """Inspects Γ at points of it and walks along it."""

    search: Search
    probe: Probe

    @property
    def problem(self) -> NoisyGradientDescent:
        """Whose Γ it is."""
        return self.probe.problem

    def inspect_point(self, point: Point) -> None:
        """Refuse a point where Γ is not what the theory assumes."""
        self.inspect(self.probe.geometry(point))

    def inspect(self, geometry: LocalGeometry) -> None:
        """Refuse a base point where Γ is not what the theory assumes."""
        rank, n = geometry.rank, self.problem.dimension
        at = show_point(self.problem, geometry.point)
        if rank == 0:
            raise ManifoldError(
                f"loss: H = ∇²L vanishes at {at}; Γ is singular there (a crossing) or L grows "
                "slower than quadratically (a quartic valley). Pick a regular point in near="
            )
        regular = self.probe.is_regular(geometry)
        smallest = mpmath.mpf(0) if regular else min(geometry.curvatures)
        if smallest < 0 and abs(smallest) > TINY:
            raise ManifoldError(
                f"loss: ∇L vanishes at {at}, but H has the eigenvalue {short(smallest)} there: a "
                "saddle or a maximum; Γ is made of minimisers, give one in near= (where L is "
                "smallest at infinity only, as for separable classes, smooth the labels)"
            )
        if rank == n:
            raise ManifoldError(
                f"loss: {at} is an isolated minimiser (M = 0): H has full rank {n}; the theory "
                "needs a manifold of them, more weights than independent constraints"
            )
        if not regular:
            raise ManifoldError(
                f"loss: H = ∇²L is not positive of rank {rank} on the normal space at {at}, "
                "though the constraints have that rank; L grows slower than quadratically there "
                "or the constraints do not describe all of Γ"
            )
        self._refuse_false_dimension(geometry)

    def _refuse_false_dimension(self, geometry: LocalGeometry) -> None:
        """Γ must follow its tangent space: the retraction of a tangent step is of second order."""
        step = mpmath.mpf(10) ** -4
        start = self._tangent_step(geometry, random.Random(2), step)
        landed = self.probe.system.solve(start)
        n = self.problem.dimension
        gap = landed and mpmath.norm([x - y for x, y in zip(landed[:n], start[:n], strict=True)])
        if gap is None or gap > step ** mpmath.mpf("1.5"):
            raise ManifoldError(
                f"loss: Γ is not a manifold of dimension N − rank H = "
                f"{n - geometry.rank} at {show_point(self.problem, geometry.point)}:"
                " a zero direction of H is no direction of Γ (a crossing or a quartic valley)"
            )

    def further_points(self, base: LocalGeometry) -> Iterator[LocalGeometry]:
        """Further points: of the component of a given point, or of all that random starts find."""
        found = 1
        if self.problem.near is None:
            for start in self.search.starts():
                point = self._accept(self.search.system.solve(start), base)
                if point is not None:
                    found += 1
                    yield point
                if found == POINTS:
                    return
        rng, here = random.Random(3), base
        for _ in range(10 * POINTS):
            if found == POINTS:
                return
            start = self._tangent_step(here, rng, mpmath.mpf(rng.uniform(0.05, 0.5)))
            parameters = tuple(admissible_values(self.problem, rng))
            start = (*start[: self.problem.dimension], *parameters)
            point = self._accept(self.probe.system.solve(start), base)
            if point is not None:
                found, here = found + 1, point
                yield point
        raise ManifoldError(
            f"loss: only {found} regular points of Γ were found around "
            f"{show_point(self.problem, base.point)}, {POINTS} are needed; give another point in "
            "near="
        )

    def _accept(self, point: Point | None, base: LocalGeometry) -> LocalGeometry | None:
        if point is None or not respects_signs(self.problem, point):
            return None
        geometry = self.probe.geometry(point)
        alike = geometry.rank == base.rank and self.probe.is_regular(geometry)
        return geometry if alike else None

    def _tangent_step(self, geometry: LocalGeometry, rng: random.Random, length: Any) -> Point:
        n = self.problem.dimension
        with mpmath.workdps(WORKING_DIGITS):
            along = geometry.tangential([mpmath.mpf(rng.gauss(0, 1)) for _ in range(n)])
            step = length / mpmath.norm(along)
            moved = [x + step * a for x, a in zip(geometry.point[:n], along, strict=True)]
        return (*moved, *geometry.point[n:])
