"""The verdict: what it says, what it refuses, and how often it is wrong."""

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

from derive import Gaussian, NoisyGradientDescent, TwoPoint, derive_limit, mechanisms
from derive.equation.coefficients import Equation
from derive.theory.katzenberger import Relaxation
from numerics import ArgumentError, ValidationReport, compile_limit, validate
from numerics.__main__ import main
from numerics.validation.measurements.bursts import measure_fast_phase
from numerics.validation.measurements.experiment import Experiment
from numerics.validator import _require_stable, exponents
from tests.truth.catalogue import CATALOGUE

w1, w2, eta, xi = sp.symbols("w1 w2 eta xi", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
DEGENERATE = NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta)


@pytest.fixture(scope="module")
def limit():
    return derive_limit(DEGENERATE)


@pytest.fixture(scope="module")
def report(limit):
    return validate(limit, (0.6, 0.8), alpha=0.05, sigma=0.1, time=0.5, paths=200, seed=0)


def test_a_right_limit_passes(report):
    assert report.passed
    assert "agrees" in report.conclusion
    assert {c.name.split(" of ")[0].split(" at ")[0] for c in report.checks} >= {
        "mean",
        "drift",
        "covariance",
        "exponent",
    }


def test_the_limit_at_zero_step_is_shown_as_distance_to_go(report):
    coarse, fine = report.gaps
    # λ = 2(2 + w₁) ≈ 5.2: the drift at α = 0.05 is 1/(1 − αλ/2) = 1.15 times that at α → 0.
    assert fine.at_step < coarse.at_step < 0.01
    assert fine.asymptotic == pytest.approx(0.13, abs=0.02)


def test_repeated_with_the_same_seed_it_is_the_same(limit, report):
    again = validate(limit, (0.6, 0.8), alpha=0.05, sigma=0.1, time=0.5, paths=200, seed=0)
    assert again.to_dict() == report.to_dict()


def test_start_by_symbol_and_compiled_limit(limit, report):
    again = validate(
        compile_limit(limit),
        {w1: 0.6, w2: 0.8},
        alpha=[0.05],
        sigma=0.1,
        time=0.5,
        paths=200,
        seed=0,
    )
    assert again.checks == report.checks


def test_user_observables_are_followed(limit):
    report = validate(
        limit,
        (0.6, 0.8),
        alpha=0.05,
        sigma=0.1,
        time=0.2,
        paths=100,
        seed=1,
        observables={"angle": lambda w: np.arctan2(w[..., 1], w[..., 0])},
    )
    assert report.passed
    assert any(c.name.startswith("mean of angle") for c in report.checks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.9}, "alpha: 0.9 is unstable|does not end on Γ"),
        ({"alpha": -0.1}, "alpha: expected a positive number"),
        ({"sigma": []}, "sigma: expected a positive number"),
        ({"time": 1e-6}, "time: .* only"),
        ({"paths": 3}, "paths: expected at least 100"),
        ({"level": 2.0}, "level: expected a probability"),
        ({"start": (0.6,)}, "start: expected shape"),
    ],
)
def test_refusals(limit, change, message):
    settings = {
        "start": (0.6, 0.8),
        "alpha": 0.05,
        "sigma": 0.1,
        "time": 1.0,
        "paths": 100,
        "seed": 0,
    } | change
    with pytest.raises(ValueError, match=message):
        validate(limit, settings.pop("start"), **settings)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_steps_are_stable_up_to_twice_one_plus_beta(limit, beta):
    """At (0.6, 0.8) λ = 5.2, and the heavy ball needs αλ < 2(1 + β)."""
    settings, bound = SimpleNamespace(start=START, momentum=beta), 2 * (1 + beta) / 5.2
    _require_stable(compile_limit(limit), 0.95 * bound, settings)
    with pytest.raises(ArgumentError, match="unstable"):
        _require_stable(compile_limit(limit), 1.05 * bound, settings)


def test_the_exponents_are_those_of_the_time_scale(limit):
    assert exponents(limit) == (2, 2)
    assert exponents(derive_limit(mechanisms.parameter_noise(RING, (w1, w2)))) == (1, 2)


BESIDE = {
    "V₂ on 1/(ασ⁴)": (Gaussian(), (w1**2 + w2**2 - 1) * (1 - w1) * eta**2, 0.05),
    "Reg₃ on 1/(ασ³)": (TwoPoint(1), w1 * eta**3 / 6, 0.01),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_faster_scale_beside_the_limit_is_no_contradiction(name):
    """Theorem B holds as σ²/α → 0, or σ/α → 0 for skew noise: at a finite ratio both act."""
    law, more, sigma = BESIDE[name]
    noisy = DEGENERATE.noisy_loss + more
    limit = derive_limit(NoisyGradientDescent(RING, noisy, (w1, w2), eta, law=law))
    run = {"alpha": 0.1, "sigma": sigma, "time": 0.3, "paths": 200, "seed": 0}
    report = validate(limit, (0.6, 0.8), **run)
    assert report.passed, str(report)
    assert report.gaps[0].at_step > 0.05


def test_frozen_noise_never_moves():
    limit = derive_limit(next(e.problem for e in CATALOGUE if e.outcome == "frozen"))
    settings = {"alpha": 0.02, "sigma": 0.5, "time": 0.1, "paths": 100, "seed": 0}
    off = (1.3, 0.7, 0.5, 0.8)
    with pytest.raises(ValueError, match="start on Γ"):
        validate(limit, off, **settings)
    report = validate(limit, compile_limit(limit).flow_limit(off), **settings)
    assert report.passed
    assert report.scaling is None


def test_settled_at_an_equilibrium():
    """All paths are one there, and only integration and round-off tell it from the limit."""
    x, y = sp.symbols("x y", real=True)
    settling = derive_limit(
        NoisyGradientDescent((x * y - 1) ** 2 / 2, (x * y - 1 - eta) ** 2 / 2, (x, y), eta)
    )
    report = validate(settling, (2, 0.5), alpha=0.1, sigma=0.1, time=60, paths=100, seed=0)
    assert report.passed, str(report)
    means = [c for c in report.checks if c.name.startswith("mean")]
    assert all(c.error < 1e-12 and 0 < c.allowance < 1e-5 for c in means)


# A verdict does not depend on units.

RUN = {"alpha": 0.05, "sigma": 0.1, "time": 0.2, "paths": 100, "seed": 0}
START = (0.6, 0.8)
UNIT = 8
"""A power of two, so that round-off is the same too."""


def noisy_ring(extra: sp.Expr, *noise: sp.Symbol) -> NoisyGradientDescent:
    return NoisyGradientDescent(RING, RING + extra, (w1, w2), noise)


def with_noise_in_other_units(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    units = {x: UNIT * x for x in problem.noise}
    return replace(problem, noisy_loss=problem.noisy_loss.subs(units, simultaneous=True))


def with_weights_in_other_units(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    units = {w: w / UNIT for w in problem.weights}
    loss, noisy = (
        UNIT**2 * f.subs(units, simultaneous=True) for f in (problem.loss, problem.noisy_loss)
    )
    return replace(problem, loss=loss, noisy_loss=noisy)


def with_loss_in_other_units(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    return replace(problem, loss=UNIT * problem.loss, noisy_loss=UNIT * problem.noisy_loss)


def with_time_in_other_units(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    """Twice the loss, half the noise: Σ stays, and with it slow time."""
    half = {x: x / UNIT for x in problem.noise}
    noisy = (UNIT * problem.noisy_loss).subs(half, simultaneous=True)
    return replace(problem, loss=UNIT * problem.loss, noisy_loss=noisy)


UNITS = {
    "noise": (with_noise_in_other_units, {"sigma": 1 / UNIT, "time": 1 / UNIT**2}, 1),
    "weights": (with_weights_in_other_units, {}, UNIT),
    "loss": (with_loss_in_other_units, {"alpha": 1 / UNIT, "time": 1 / UNIT**2}, 1),
    "time": (with_time_in_other_units, {"alpha": 1 / UNIT, "sigma": UNIT}, 1),
}
"""What becomes of the model, by which factors of its run, and by which of its start."""

MODELS = {
    "deterministic": noisy_ring((w1**2 + w2**2) * eta / 2, eta),
    "diffusive": noisy_ring(w1 * eta + w2 * xi, eta, xi),
    "non-degenerate": noisy_ring(w1 * eta**2 + w2 * eta, eta),
}


QUICK_UNITS = {("deterministic", "noise"), ("deterministic", "loss")}


@cache
def in_given_units(name: str) -> ValidationReport:
    return validate(derive_limit(MODELS[name]), START, **RUN)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        pytest.param(name, quantity, marks=() if quick else pytest.mark.slow)
        for name in MODELS
        for quantity in UNITS
        for quick in [(name, quantity) in QUICK_UNITS]
    ],
)
def test_a_verdict_does_not_depend_on_units(name, quantity):
    change, factors, size = UNITS[quantity]
    problem = MODELS[name]
    if name == "non-degenerate" and quantity == "loss":
        factors = {"alpha": 1 / UNIT, "time": 1 / UNIT}
    if name == "non-degenerate" and quantity == "time":
        factors = {"alpha": 1 / UNIT, "sigma": UNIT, "time": UNIT}
    run = {key: value * factors.get(key, 1) for key, value in RUN.items()}
    report = validate(derive_limit(change(problem)), [size * x for x in START], **run)
    here = in_given_units(name)
    assert report.passed == here.passed
    for what in ("p_value", "statistic"):
        assert [getattr(c, what) for c in report.checks] == pytest.approx(
            [getattr(c, what) for c in here.checks], rel=1e-3, abs=1e-6
        )


# Momentum


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_the_heavy_ball(limit, beta):
    run = {"alpha": 0.1, "sigma": 0.1 * (1 - beta), "time": 0.2, "paths": 200, "seed": 0}
    report = validate(limit.at_step(0.1, beta), START, **run)
    assert report.passed, str(report)
    assert report.settings.momentum == beta
    assert report.checks == validate(limit, START, momentum=beta, **run).checks


class PlainRelaxation(Equation):
    """With the operator ℒ of plain gradient descent, whatever the momentum."""

    @property
    def relaxation(self):
        return Relaxation.of(self.step, sp.Integer(0))


def test_momentum_forgotten_is_seen(limit):
    """D²Φ_α has 2λ − αλ²/(1 + β) for 2λ − αλ²; and the recursion is the heavy ball."""
    run = {"alpha": 0.1, "sigma": 0.05, "time": 0.2, "paths": 200, "seed": 0}
    wrong = replace(limit, equation=PlainRelaxation(**vars(limit.equation)))
    assert validate(wrong, START, **run).passed
    report = validate(wrong, START, momentum=0.5, **run)
    failed = {c.name.split()[0] for c in report.checks if not c.passed}
    assert failed >= {"mean", "drift"}
    assert "exponent" not in failed
    assert "rate" not in failed


def test_the_spectral_gap_of_two_eigenvalues():
    """The flattest of several normal directions relaxes at log|1 − αλ_min| an iteration."""
    problem = next(e.problem for e in CATALOGUE if e.name == "label noise on a diagonal net")
    compiled = compile_limit(derive_limit(problem))
    point = compiled.flow_limit((1.3, 0.7, 0.5, 0.8))
    experiment = Experiment(compiled, paths=200, seed=(1,))
    fast = measure_fast_phase(experiment, point, alpha=0.02, sigma=0.01, size=1.5)
    eigenvalues = compiled.spectrum(point)
    assert eigenvalues[0] < 0.9 * eigenvalues[1]
    assert fast.expected == pytest.approx(-np.log(1 - 0.02 * eigenvalues[0]))
    assert float(fast.rate.value) == pytest.approx(
        fast.expected, abs=4 * float(fast.rate.error) + 1e-4
    )


MODEL = """
weights = ["w1", "w2"]
noise = ["eta"]
loss = "(w1**2 + w2**2 - 1)**2 * (2 + w1) / 4"
noisy_loss = "loss + (w1**2 + w2**2) * eta / 2"
[run]
start = [0.6, 0.8]
alpha = 0.05
sigma = 0.1
time = 0.2
paths = 100
"""


def test_the_command(tmp_path, capsys):
    model, plot, verdict = tmp_path / "ring.toml", tmp_path / "ring.svg", tmp_path / "ring.json"
    model.write_text(MODEL, encoding="utf-8")
    assert main([str(model), "--plot", str(plot), "--json", str(verdict), "--seed", "3"]) == 0
    assert "agrees with the derived limit" in capsys.readouterr().out
    assert plot.read_text(encoding="utf-8").count("<path") > 10
    content = json.loads(verdict.read_text(encoding="utf-8"))
    assert content["passed"] is True
    assert content["settings"]["seed"] == 3


def test_the_command_where_every_path_is_lost(tmp_path, monkeypatch, capsys):
    """A verdict and all its files, and not one warning of NumPy (they are errors here)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ring.toml").write_text(MODEL, encoding="utf-8")
    outputs = ["--report", "page.html", "--json", "verdict.json"]
    assert main(["ring.toml", "--sigma", "3", "--time", "50", *outputs]) == 1
    said = capsys.readouterr()
    assert "CONTRADICTS  paths lost" in said.out
    assert not said.err
    assert {p.name for p in tmp_path.iterdir()} == {"ring.toml", "ring.png", *outputs[1::2]}


def test_the_command_on_bad_input(tmp_path, capsys):
    model = tmp_path / "ring.toml"
    model.write_text(MODEL.replace("alpha = 0.05\n", ""), encoding="utf-8")
    assert main([str(model)]) == 2
    assert "give --alpha" in capsys.readouterr().err
    assert main([str(tmp_path / "none.toml")]) == 2


RUNS = {
    "linear scalar noise on the uneven ring": (
        (0.6, 0.8),
        {"alpha": 0.1, "sigma": 0.1, "time": 0.2},
    ),
    "parameter noise on the uneven ring": ((0.6, 0.8), {"alpha": 0.1, "sigma": 0.03, "time": 0.1}),
    "additive noise on an ellipse": ((1.2, 0.8), {"alpha": 0.02, "sigma": 0.2, "time": 0.05}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_right_limits_pass_at_the_promised_rate(name, capsys):
    limit = derive_limit(next(e.problem for e in CATALOGUE if e.name == name))
    start, run = RUNS[name]
    seeds, level = 200, 0.05
    reports = [
        validate(limit, start, **run, paths=150, seed=seed, level=level) for seed in range(seeds)
    ]
    failed = sum(not report.passed for report in reports)
    with capsys.disabled():
        print(f"\n{name}: {failed} of {seeds} right limits rejected at level {level}")
    # Four standard deviations of a binomial count.
    assert failed <= seeds * level + 4 * np.sqrt(seeds * level * (1 - level))
