"""A law that a user defines, here in this file, goes wherever those of the library go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import (
    Gaussian,
    Limit,
    NoisyGradientDescent,
    TwoPoint,
    Uniform,
    derive_limit,
    load_model,
    sigma,
)
from derive.laws.law import Law, known_laws
from derive.laws.shrinking import ShrinkingLaw, UnitLaw
from derive.noise.higher_moments import second_chaos, second_regularizer, third_regularizer
from derive.optimizers import ZerothOrder
from numerics import simulate_descent
from numerics.errors import NoiseError
from numerics.random.draws import Chosen, Draw, Rescaled
from numerics.random.samplers import draws_of
from numerics.random.statements import For, Lanes, Statement
from numerics.random.streams import Doubles

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
LOSS = (w1 * w2 - 1) ** 2 / 2
NOISY = (w1 * w2 * (1 + eta) - 1) ** 2 / 2 + eta**4 * w1**2


@dataclass(frozen=True)
class Spiked(ShrinkingLaw):
    """±σ/√p with probability p/2 each, else 0."""

    share: sp.Expr

    @property
    def kurtosis(self) -> sp.Expr:  # type: ignore[override]
        return 1 / sp.sympify(self.share)

    def moment(self, order: int) -> sp.Expr:
        return sp.Integer(0) if order % 2 else sp.sympify(self.share) ** (1 - sp.Rational(order, 2))


@dataclass(frozen=True)
class Spikes(Draw):
    share: float = 1.0

    def table(self, sigma: float) -> Doubles:
        return np.array([[self.share, sigma / np.sqrt(self.share)]])

    def code(self, table: str) -> list[Statement]:
        state = "S[0, b], S[1, b], S[2, b], S[3, b]"
        drawn = Lanes(
            f"u, {state} = streams.uniform({state})",
            f"size = {table}[0, 1] if u < {table}[0, 0] else 0.0",
            f"E[row, b] = -size if u < 0.5 * {table}[0, 0] else size",
        )
        return [For("row", self.rows, drawn)]


@draws_of.register
def _(law: Spiked, row: int, size: int, copies: int) -> list[Draw]:
    return [Spikes(row, size, copies=copies, share=float(law.share))]


LAW = Spiked(sp.Rational(1, 4))


@pytest.fixture(scope="module")
def limit() -> Limit:
    return derive_limit(NoisyGradientDescent(LOSS, NOISY, (w1, w2), eta, LAW))


def test_it_is_derived_with_its_moments(limit: Limit) -> None:
    assert sp.expand(limit.regularizer - (w1 * w2) ** 2 / 2) == 0
    # Reg₂ = E ζ⁴ w1², with E ζ⁴ = 4, and 3 of a Gaussian.
    assert limit.effective().equation.second_regularizer == 4 * w1**2


def test_it_is_printed(limit: Limit) -> None:
    assert "law Spiked, share = 1/4" in str(limit)
    assert r"\text{law Spiked},\; \text{share} = \frac{1}{4}" in limit.latex()


def test_it_is_saved_and_stated_in_a_model_file(limit: Limit, tmp_path: Path) -> None:
    limit.save(tmp_path / "limit.json")
    assert Limit.load(tmp_path / "limit.json") == limit
    model = tmp_path / "model.toml"
    text = f'weights = ["w1", "w2"]\nnoise = ["eta"]\nloss = "{LOSS}"\nnoisy_loss = "{NOISY}"\n'
    model.write_text(text + 'law = { name = "Spiked", share = "1/4" }\n')
    assert load_model(model).problem == limit.problem
    model.write_text(text + 'law = { name = "Spiked", part = "1/4" }\n')
    with pytest.raises(ValueError, match="Spiked takes no 'part'; it takes share"):
        load_model(model)


def test_it_is_drawn() -> None:
    """One step of L̂ = w²/2 − wη/α from w = 0 leads to η."""
    w = sp.Symbol("w", real=True)
    problem = NoisyGradientDescent(w**2 / 2, w**2 / 2 - 2 * w * eta, w, eta, LAW)
    run = {"alpha": 0.5, "sigma": 0.1, "steps": 1, "paths": 4000, "seed": 3, "record": 2}
    ends = simulate_descent(problem, [0.0], **run).weights[:, -1, 0]
    sizes, counts = np.unique(np.round(ends, 12), return_counts=True)
    np.testing.assert_allclose(sizes, [-0.2, 0.0, 0.2])
    # Binomial counts, within 5 standard errors.
    np.testing.assert_allclose(counts / 4000, [1 / 8, 3 / 4, 1 / 8], atol=5 * np.sqrt(0.19 / 4000))


# Dependent coordinates ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Polygon(UnitLaw):
    """One of the corners of a regular polygon of radius σ√2, in two coordinates."""

    corners: sp.Expr

    @property
    def points(self) -> list[tuple[sp.Expr, sp.Expr]]:
        angles = (2 * sp.pi * k / self.corners for k in range(int(self.corners)))
        return [(sp.sqrt(2) * sp.cos(angle), sp.sqrt(2) * sp.sin(angle)) for angle in angles]

    def joint_moment(self, exponents: Sequence[int]) -> sp.Expr:
        i, j = exponents
        return sp.nsimplify(sp.Add(*(x**i * y**j for x, y in self.points)) / self.corners)


@draws_of.register
def _(law: Polygon, row: int, size: int, copies: int) -> list[Draw]:
    values = tuple((float(x), float(y)) for x, y in law.points)
    chances = (1 / len(values),) * len(values)
    chosen = Chosen(row, size, copies=copies, values=values, probabilities=chances)
    return [chosen, Rescaled(row, size, copies=copies)]


TRIANGLE, SQUARE = Polygon(sp.Integer(3)), Polygon(sp.Integer(4))
ZETA = sp.symbols("zeta1 zeta2", real=True)
QUARTIC = LOSS + ZETA[0] ** 2 * w1 + ZETA[0] * ZETA[1] * w1 * w2 + ZETA[0] * ZETA[1] ** 2 * w2
QUARTIC += ZETA[0] ** 2 * ZETA[1] ** 2 * w2**2 + (w1 - w2) * ZETA[0] / 3


def of_corners(law: Law) -> NoisyGradientDescent:
    return NoisyGradientDescent(LOSS, QUARTIC, (w1, w2), ZETA, law)


@pytest.mark.parametrize("law", [TRIANGLE, SQUARE], ids=str)
def test_dependent_coordinates_are_expanded_by_their_moments(law: Polygon) -> None:
    """Mean and covariance over the corners, order by order in σ; other laws have others."""
    at_corners = [
        QUARTIC.xreplace(dict(zip(ZETA, (sigma * x, sigma * y), strict=True)))
        for x, y in law.points
    ]
    mean = sp.expand(sum(at_corners) / law.corners)
    problem = of_corners(law)
    orders = (
        derive_limit(problem).regularizer,
        third_regularizer(problem),
        second_regularizer(problem),
    )
    for power, found in zip((2, 3, 4), orders, strict=True):
        assert sp.simplify(found - mean.coeff(sigma, power)) == 0
    second = [
        sp.Matrix([sp.expand(x.diff(w)).coeff(sigma, 2) for w in (w1, w2)]) for x in at_corners
    ]
    middle = sum(second, sp.zeros(2, 1)) / law.corners
    spread = sum(((g - middle) * (g - middle).T for g in second), sp.zeros(2)) / law.corners
    assert sp.simplify(second_chaos(problem).covariance - spread) == sp.zeros(2)
    assert sp.simplify(second_chaos(of_corners(Gaussian())).covariance - spread) != sp.zeros(2)
    assert bool(law.largest_third_moment(2)) is (law == TRIANGLE)


def test_dependent_coordinates_go_everywhere(tmp_path: Path) -> None:
    limit = derive_limit(of_corners(SQUARE))
    assert "law Polygon, corners = 4" in str(limit)
    assert r"\text{corners} = 4" in limit.latex()
    limit.save(tmp_path / "limit.json")
    assert Limit.load(tmp_path / "limit.json") == limit
    model = tmp_path / "model.toml"
    model.write_text(
        f'weights = ["w1", "w2"]\nnoise = ["zeta1", "zeta2"]\nloss = "{LOSS}"\n'
        f'noisy_loss = "{QUARTIC}"\nlaw = {{ name = "Polygon", corners = 4 }}\n'
    )
    assert load_model(model).problem == limit.problem
    # Along the axes ∂³L = 0, and zeroth-order steps see nothing else; three corners see more.
    for law, outcome in ((SQUARE, "trivial"), (TRIANGLE, "non-degenerate")):
        steps = replace(limit.problem, noisy_loss=LOSS, noise=(), optimizer=ZerothOrder(law))
        assert derive_limit(steps).outcome.value == outcome


def test_dependent_coordinates_are_drawn() -> None:
    """One step of length one from w = 0 leads to a corner; each as often, within 5 σ."""
    weights = sp.symbols("v1 v2", real=True)
    problem = NoisyGradientDescent.from_gradient_noise(
        0 * weights[0], sp.eye(2), weights, ZETA, law=TRIANGLE
    )
    run = {"alpha": 1.0, "sigma": 0.1, "steps": 1, "paths": 4000, "seed": 3, "record": 2}
    ends = -simulate_descent(problem, [0.0, 0.0], **run).weights[:, -1]
    corners = 0.1 * np.array(TRIANGLE.points, dtype=float)
    nearest = np.linalg.norm(ends[:, None] - corners, axis=2)
    np.testing.assert_allclose(nearest.min(axis=1), 0, atol=1e-15)
    counts = np.bincount(nearest.argmin(axis=1), minlength=3)
    np.testing.assert_allclose(counts / 4000, 1 / 3, atol=5 * np.sqrt(2 / 9 / 4000))


# What is refused, and what is said of laws --------------------------------------------------------


def test_what_cannot_be_drawn_says_how_to_mend_it() -> None:
    @dataclass(frozen=True)
    class Silent(ShrinkingLaw):
        kurtosis = sp.Integer(3)

        def moment(self, order: int) -> sp.Expr:
            return sp.Integer(0)

    problem = NoisyGradientDescent(LOSS, NOISY, (w1, w2), eta, Silent())
    run = {"alpha": 0.1, "sigma": 0.1, "steps": 1, "paths": 1, "seed": 0}
    with pytest.raises(NoiseError, match=r"Silent.*draws_of\.register"):
        simulate_descent(problem, [1.0, 1.0], **run)


@pytest.mark.parametrize(
    ("law", "text"),
    [(TwoPoint(1), "σa with probability"), (Uniform(), "uniform on [−√3 σ, √3 σ]")],
    ids=str,
)
def test_every_law_is_printed_in_words_and_read_from_a_file(
    law: Law, text: str, tmp_path: Path
) -> None:
    shown = derive_limit(NoisyGradientDescent(LOSS, NOISY, (w1, w2), eta, law))
    assert text in str(shown)
    assert type(law).__name__ not in shown.latex()
    stated = '{ name = "TwoPoint", skewness = 1 }' if law == TwoPoint(1) else '"Uniform"'
    model = tmp_path / "model.toml"
    model.write_text(
        f'weights = ["w1", "w2"]\nnoise = ["eta"]\nloss = "{LOSS}"\nnoisy_loss = "{NOISY}"\n'
        f"law = {stated}\n"
    )
    assert load_model(model).problem == shown.problem
    assert known_laws()[type(law).__name__] is type(law)
