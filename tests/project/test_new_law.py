"""A law that a user defines, here in this file, goes wherever those of the library go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, TwoPoint, Uniform, derive_limit, load_model
from derive.laws.law import Law, known_laws
from derive.laws.shrinking import ShrinkingLaw
from numerics import simulate_descent
from numerics.errors import NoiseError
from numerics.random.draws import Draw
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
