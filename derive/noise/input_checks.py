"""What the user states about Γ beyond the loss, checked on Γ once it is found."""

from __future__ import annotations

import contextlib
import random

import mpmath
import sympy as sp

from ..errors import ManifoldError, ProblemError
from ..laws.scaled import keeps_its_size
from ..manifold.manifold import Manifold
from ..manifold.points import show_point
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import gradient
from ..symbolic.numbers.linear import independent_rows
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import ARITHMETIC_FAILURES, WORKING_DIGITS, evaluator, random_values
from ..symbolic.zero_tests import CLEAR_DIGITS, vanishes_identically
from .moments import NoiseMoments, enters_linearly, persistent_noise

CHART_TRIES = 5
"""Places at which the rank of a chart is looked at; some may be outside its domain."""


def check_hypotheses(manifold: Manifold, moments: NoiseMoments) -> None:
    """Refuse a chart off Γ, a negative covariance, and noise of fixed size that moves Γ's points.

    Raises
    ------
    ManifoldError
        If ∇L does not vanish on the chart, or it does not have the dimension of Γ.
    ProblemError
        If a given Σ(w) has a negative eigenvalue at a point of Γ, or noise that does not shrink
        with σ has ∇_wL̂ ≠ 0 on Γ where other noise does shrink, or moves the mean of ∇_wL̂.
    """
    _refuse_stray_chart(manifold.problem)
    _refuse_chart_of_another_dimension(manifold)
    if moments.given_covariance is not None:
        _refuse_negative_covariance(manifold, moments.given_covariance)
    _refuse_unfrozen_noise(manifold)
    _refuse_nonlinear_noise(manifold)


def _refuse_stray_chart(problem: NoisyGradientDescent) -> None:
    """A chart of Γ maps to where ∇L = 0."""
    if problem.chart is None:
        return
    place = dict(zip(problem.weights, problem.chart.embedding, strict=True))
    for slope in problem.loss_gradient:
        on_chart = slope.xreplace(place)
        if vanishes_identically(on_chart).value is False:
            raise ManifoldError(
                "chart: it must map into Γ, where ∇L = 0, but a derivative of L on it is "
                f"{sp.sstr(on_chart)}"
            )


def _refuse_chart_of_another_dimension(manifold: Manifold) -> None:
    """A chart of Γ has M coordinates, and Dγ has rank M at generic values of them."""
    chart = manifold.problem.chart
    if chart is None:
        return
    m, given = manifold.dimension, len(chart.coordinates)
    if given != m:
        raise ManifoldError(
            f"chart: expected {m} coordinates, the dimension of Γ, got {given} "
            f"({', '.join(map(str, chart.coordinates))})"
        )
    symbols = (*chart.coordinates, *manifold.problem.parameters)
    slopes = Program(symbols, chart.embedding)
    rng = random.Random(0)
    ranks = [0]
    for _ in range(CHART_TRIES):
        # Outside the domain of the chart there is no rank.
        with mpmath.workdps(WORKING_DIGITS), contextlib.suppress(*ARITHMETIC_FAILURES):
            rows = slopes.jacobian(random_values(symbols, rng), m)
            ranks.append(len(independent_rows(rows, mpmath.mpf(10) ** -CLEAR_DIGITS)))
    if max(ranks) < m:
        raise ManifoldError(
            f"chart: expected an embedding whose derivative has rank {m}, the dimension of Γ, got "
            f"rank {max(ranks)}; two coordinates may move w alike"
        )


def _refuse_negative_covariance(manifold: Manifold, covariance: sp.ImmutableMatrix) -> None:
    entries = evaluator(manifold.symbols, covariance)
    with mpmath.workdps(WORKING_DIGITS):
        for point in manifold.points:
            values = mpmath.eigsy(entries(point), True)
            if min(values) < -max(abs(x) for x in values) * mpmath.mpf(10) ** -CLEAR_DIGITS:
                raise ProblemError(
                    "noise_matrix: the covariance Σ(w) is not positive semi-definite at "
                    f"{show_point(manifold.problem, point)} on Γ: eigenvalue "
                    f"{mpmath.nstr(min(values), 6)}"
                )


def _refuse_unfrozen_noise(manifold: Manifold) -> None:
    """Minibatch weights at a fixed batch size beside shrinking noise must leave Γ at rest."""
    problem = manifold.problem
    fixed = persistent_noise(problem)
    if not fixed or problem.noisy_loss is None:
        return
    silent = {s: sp.S.Zero for s in problem.noise if s not in fixed}
    verdict = manifold.vanishes(
        gradient(problem.noisy_loss.xreplace(silent), problem.weights), free=fixed
    )
    if verdict.value is False:
        names = ", ".join(map(str, fixed))
        raise ProblemError(
            f"law: {names} do not shrink with σ, so ∇_wL̂ must vanish on Γ for all their values "
            f"when the other noise is zero, and it does not: {verdict}; use a law that shrinks, or "
            "leave out the noise that does, which is too small to be seen beside it"
        )


def _refuse_nonlinear_noise(manifold: Manifold) -> None:
    """Noise of fixed size must have the mean ∇L, as it has where it enters linearly, or be frozen.

    Another mean would lead to other minimisers, those of E L̂.
    """
    problem = manifold.problem
    if not keeps_its_size(problem.law) or enters_linearly(problem):
        return
    if manifold.vanishes(problem.stochastic_gradient, free=problem.noise).value is False:
        raise ProblemError(
            "noisy_loss: noise that keeps its size must enter ∇_wL̂ linearly, so that its mean is "
            "∇L: descent leads to the minimisers of E L̂, which are not those of L. State E L̂ as "
            "the loss and L̂ with a term for each value of the noise, or scale the noise down, with "
            "law=Scaled(…)"
        )
