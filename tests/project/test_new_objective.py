"""A kind of objective that a user defines, here in this file, goes where those we have go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray

from derive import Limit, NoisyGradientDescent, NotCoveredError, Outcome, ProblemError, derive_limit
from derive.errors import SavedFileError
from derive.files.limit_file import known_of
from derive.manifold.discovery.find_manifold import find_manifold, manifold_of
from derive.manifold.manifold import Manifold
from derive.model.problem import Objective
from derive.noise.moments import NoiseMoments, moments_of
from numerics import compile_limit, simulate_descent
from numerics.models.local_model import LocalModel, local_model

Array = NDArray[np.float64]

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
RESIDUAL = w1 * w2 - 1
START = [2.0, 0.5]


# The objective --------------------------------------------------------------------------------


class Fit(sp.Expr):
    """½ |r|² of residuals r, which is neither written out nor differentiated by sympy."""


class Fits(Objective):
    """½ |r(w)|², and ½ |r(w) + η|² with noise of the labels."""

    name = "residuals"
    is_pointwise = False
    is_polynomial = True

    @classmethod
    def is_stated(cls, stated: Any) -> bool:
        return isinstance(stated.loss, Fit)

    def check(self) -> None:
        super().check()
        if self.problem.noisy_loss != Fit(*map(sp.Add, self.residuals, self.problem.noise)):
            raise ProblemError("noisy_loss: expected the residuals, each with a noise added")

    @property
    def residuals(self) -> tuple[sp.Expr, ...]:
        return tuple(self.problem.loss.args)

    def written_out(self, rows: Sequence[int] | None = None) -> NoisyGradientDescent:
        loss, noisy = map(in_full, (self.problem.loss, self.problem.noisy_loss))
        return replace(self.problem, loss=loss, noisy_loss=noisy)

    def gradient(self, expression: sp.Expr) -> tuple[sp.Expr, ...]:
        return super().gradient(in_full(expression))

    @property
    def quantities(self) -> Iterator[tuple[str, str, Any]]:
        yield from ((f"r_{a}", f"r_{a}", r) for a, r in enumerate(self.residuals, start=1))


def in_full(expression: sp.Expr) -> sp.Expr:
    squares = {e: sp.Add(*(r**2 / 2 for r in e.args)) for e in expression.atoms(Fit)}
    return expression.xreplace(squares)


@manifold_of.register
def _(objective: Fits) -> Manifold:
    return find_manifold(replace(objective.written_out(), constraints=objective.residuals))


@moments_of.register
def _(objective: Fits) -> NoiseMoments:
    """Reg = m/2 and Σ = JᵀJ, with nothing differentiated in η."""
    slopes = sp.Matrix(objective.residuals).jacobian(objective.problem.weights)
    reg = sp.Rational(len(objective.residuals), 2)
    return NoiseMoments(reg, partial(sp.ImmutableMatrix, slopes.T))


# Its local model ------------------------------------------------------------------------------


@local_model.register
def _(objective: Fits, limit: Limit) -> LocalModel:
    return FitModel(limit)


@dataclass(frozen=True)
class FitModel(LocalModel):
    """In NumPy, by the closed form of the drift."""

    limit: Limit
    is_noisy = False

    def _at(self, points: Array, expression: Any) -> Array:
        function = sp.lambdify(self.limit.problem.weights, expression)
        return np.array([function(*w) for w in points], dtype=np.float64)

    def _slopes(self, points: Array) -> Array:
        residuals = sp.Matrix(self.limit.manifold.constraints)
        return self._at(points, residuals.jacobian(self.limit.problem.weights))

    def equations(self, points: Array) -> tuple[Array, Array]:
        drift = self._at(points, list(self.limit.drift or ()))
        return drift, np.zeros((*points.shape, 0))

    def frames(self, points: Array) -> tuple[Array, Array]:
        _, sizes, rows = np.linalg.svd(self._slopes(points), full_matrices=False)
        return sizes**2, rows

    def regularizer(self, points: Array) -> Array:
        return self._at(points, self.limit.regularizer)

    def retractions(self, points: Array) -> Array:
        for _ in range(30):
            short = self._at(points, list(self.limit.manifold.constraints))[..., None]
            points = points - (np.linalg.pinv(self._slopes(points)) @ short)[..., 0]
        return points

    def flow_ends(self, points: Array) -> Array:
        raise NotCoveredError("flow_limit: not covered for residuals")

    def descent_ends(self, points: Array, velocities: Array, rates: tuple[float, float]) -> Array:
        raise NotCoveredError("descent_limit: not covered for residuals")


# The walk -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem() -> NoisyGradientDescent:
    return NoisyGradientDescent(Fit(RESIDUAL), Fit(RESIDUAL + eta), (w1, w2), eta)


@pytest.fixture(scope="module")
def limit(problem: NoisyGradientDescent) -> Limit:
    return derive_limit(problem)


def test_it_is_derived_as_what_it_stands_for(limit: Limit, problem: NoisyGradientDescent) -> None:
    written = derive_limit(problem.written_out())
    assert (limit.outcome, limit.time_scale) == (Outcome.DETERMINISTIC, written.time_scale)
    assert (limit.regularizer, limit.drift) == (written.regularizer, written.drift)
    assert limit.moments.covariance == written.moments.covariance
    assert limit.at_step(0.1).drift == written.at_step(0.1).drift


def test_it_is_printed_in_its_own_words(limit: Limit) -> None:
    lines = dict(line.split(maxsplit=1) for line in str(limit).splitlines() if line[0] != " ")
    assert lines["loss"] == "L = Fit(w1*w2 - 1)"
    assert lines["r_1"] == "w1*w2 - 1"
    assert r"r_1 = w_{1} w_{2} - 1" in limit.latex()


def test_hand_derivations_are_checked(limit: Limit) -> None:
    assert limit.check(limit.drift)
    assert limit.check(2 * sp.Matrix(limit.drift)).value is False


def test_it_is_compiled_by_its_local_model(limit: Limit) -> None:
    compiled = compile_limit(limit)
    assert isinstance(compiled.model, FitModel)
    point = compiled.retract([2.1, 0.4])
    np.testing.assert_allclose(point[0] * point[1], 1.0, rtol=1e-12)
    # b = −¼ P∇ tr H with tr H = w1² + w2², along the tangent (w1, −w2) of the hyperbola.
    expected = -0.5 * (4 - 0.25) / (4 + 0.25) * np.array([2.0, -0.5])
    np.testing.assert_allclose(compiled.drift(START), expected, rtol=1e-12)


@pytest.mark.slow
def test_it_is_simulated(problem: NoisyGradientDescent) -> None:
    run = {"alpha": 0.05, "sigma": 0.1, "steps": 20, "paths": 2, "seed": 0}
    ours, theirs = (simulate_descent(p, START, **run) for p in (problem, problem.written_out()))
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-12)


def test_what_it_leaves_open_is_refused(limit: Limit, tmp_path: Path) -> None:
    with pytest.raises(SavedFileError, match="Fit"):
        limit.save(tmp_path / "limit.json")
    with pytest.raises(NotCoveredError, match="save: not covered for residuals"):
        known_of(limit.problem.objective, limit)
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotCoveredError, match="not covered for residuals"):
        compile_limit(limit).flow_limit(START)


def test_a_kind_without_answers_is_refused() -> None:
    class Bare(sp.Expr):
        pass

    class Bares(Objective):
        name = "bare ones"

        @classmethod
        def is_stated(cls, stated: Any) -> bool:
            return isinstance(stated.loss, Bare)

    problem = NoisyGradientDescent(Bare(w1), Bare(w1), w1, eta)
    with pytest.raises(NotCoveredError, match="Γ: not covered for bare ones"):
        derive_limit(problem)


def test_it_checks_what_is_stated() -> None:
    with pytest.raises(ProblemError, match="each with a noise added"):
        NoisyGradientDescent(Fit(RESIDUAL), Fit(RESIDUAL + eta**2), (w1, w2), eta)
