"""Two-layer nets with more weights than samples: derived, run, and compared."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import Bernoulli, Gaussian, Mean, NoisyGradientDescent, mechanisms
from derive.symbolic.numbers.programs import Program
from tests.truth.motion import AT_STEP, THEOREM, Motion, Row, confirm_directly, confirm_extrapolated

HIDDEN, INPUTS, SAMPLES = 8, 16, 64
A = sp.symbols(f"a1:{HIDDEN + 1}", real=True)
B = [sp.symbols(f"b{j}_1:{INPUTS + 1}", real=True) for j in range(1, HIDDEN + 1)]
X = sp.symbols(f"x1:{INPUTS + 1}", real=True)
Y = sp.Symbol("y", real=True)
WEIGHTS = (*A, *itertools.chain(*B))


def net(a: Any, b: Any) -> sp.Expr:
    """f(x) = Σ_j a_j tanh(b_j·x)."""
    rows = [sp.Add(*(p * q for p, q in zip(row, X, strict=True))) for row in b]
    return sp.Add(*(out * sp.tanh(z) for out, z in zip(a, rows, strict=True)))


def sampled(mechanism: str, law: Any) -> tuple[NoisyGradientDescent, tuple[float, ...]]:
    """The net with a mask that all samples share, and weights that fit all samples."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, INPUTS))
    a = rng.choice([-1.5, 1.5], HIDDEN)
    b = 1.5 * rng.normal(size=(HIDDEN, INPUTS)) / np.sqrt(INPUTS)
    values = np.column_stack([x, np.tanh(x @ b.T) @ a])
    masked = {"dropout": A, "DropConnect": WEIGHTS}[mechanism]
    noise = sp.symbols(f"eta1:{len(masked) + 1}", real=True)
    scaled = {w: w * (1 + e) for w, e in zip(masked, noise, strict=True)}
    model = net(A, B)
    data = {(*X, Y): values}
    problem = NoisyGradientDescent(
        Mean((model - Y) ** 2 / 2, data),
        Mean((model.xreplace(scaled) - Y) ** 2 / 2, data),
        WEIGHTS, noise, law, near=tuple(np.hstack([a, b.ravel()])),
    )  # fmt: skip
    return problem, (*a, *b.ravel())


class ByProgram(Motion):
    """Theorem A with the derived Reg as a straight-line program: 136 masks make code too long."""

    @cached_property
    def predicted(self) -> np.ndarray:
        """Displacement after half the time and in the end, by two Runge-Kutta steps each."""
        span = self.steps / self.rate / 4
        w, passed = self.start, []
        for _ in range(4):
            k1 = self.drift(w)
            k2 = self.drift(w + span / 2 * k1)
            k3 = self.drift(w + span / 2 * k2)
            k4 = self.drift(w + span * k3)
            w = self.fast.retract(w + span / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
            passed.append(w)
        return np.array([[passed[1], passed[3]]]) - self.start

    def drift(self, w: np.ndarray) -> np.ndarray:
        """−P∇Reg."""
        reg, residual = self.programs
        places = [[*w, *sample] for sample in self.problem.samples.table]
        slopes = [reg.gradient(place, len(w), mpmath.fp) for place in places]
        normals = [residual.gradient(place, len(w), mpmath.fp) for place in places]
        basis = np.linalg.qr(np.array(normals, float).T)[0]
        mean = np.mean(np.array(slopes, float), axis=0)
        return basis @ (basis.T @ mean) - mean

    @cached_property
    def programs(self) -> tuple[Program, Program]:
        samples = self.problem.samples
        symbols = (*self.problem.weights, *samples.symbols)
        reg, (residual,) = (
            samples.one(self.equation.regularizer),
            self.equation.manifold.constraints,
        )
        return Program(symbols, [reg]), Program(symbols, [residual])


@pytest.mark.slow
@pytest.mark.parametrize("law", [Gaussian(), Bernoulli()], ids=str)
def test_dropconnect_on_64_samples(law):
    problem, start = sampled("DropConnect", law)
    row = Row(start, 0.02, 0.005, 0.02, 32, THEOREM)
    coarse, fine = (ByProgram(problem, row.smaller(k, 1), (11, k)) for k in (0, 1))
    confirm_extrapolated(f"DropConnect, {law}", coarse, fine)


@pytest.mark.slow
@pytest.mark.parametrize(("law", "paths"), [(Gaussian(), 32), (Bernoulli(), 128)], ids=str)
def test_dropout_on_64_samples(law, paths):
    problem, start = sampled("dropout", law)
    row = Row(start, 0.02, 0.007, 0.05, paths, THEOREM)
    coarse, fine = (Motion(problem, row.smaller(k, 1), (9, k)) for k in (0, 1))
    confirm_extrapolated(f"dropout, {law}", coarse, fine)


@pytest.mark.slow
def test_label_noise_on_24_weights():
    """Eight tanh neurons with biases on four points."""
    x = X[0]
    a, b, c = (sp.symbols(f"{s}1:9", real=True) for s in "abc")
    model = sp.Add(*(p * sp.tanh(q * x + r) for p, q, r in zip(a, b, c, strict=True)))
    start = np.random.default_rng(2).normal(size=24)
    points = np.array([-1.5, -0.5, 0.5, 1.5])
    p, q, r = start.reshape(3, 8)
    targets = np.tanh(np.outer(points, q) + r) @ p
    problem = mechanisms.label_noise(model, x, points, targets, (*a, *b, *c), half=True, near=start)
    row = Row(tuple(start), 0.1, 0.1, 0.5, 64, AT_STEP)
    confirm_directly("label noise on 24 weights", Motion(problem, row, (10,)))
