"""Label noise finds the low-rank matrix (Blanc et al., Figure 1).

A matrix X* = U*U*ᵀ of rank r, of spectral norm 1, is to be found from n measurements
⟨A_i, UUᵀ⟩, A_i standard Gaussian, by gradient descent in U from U₀ = I. Without label noise the
training error vanishes and the test error ‖UUᵀ − X*‖_F²/‖X*‖_F² stays where it is. With
label noise of variance 0.1 the iterates follow dU/dt = −(1/n) P∇reg, t = kα²σ², on the zero-error
set, with reg = ⟨‖(A + Aᵀ)U‖²⟩, and the test error goes to 0 too.

At X* the rank of J falls: the smallest positive eigenvalue of H decays along the limit. The
limit describes the iterates as long as they relax to Γ faster than they move along it: until
αλ_min(H) is down to α²σ² · 4(d + 1)/n, the rate at which spare directions shrink.

    python worked_examples/matrix_sensing.py            d = 20, n = 100: recursion against limit
    python worked_examples/matrix_sensing.py real       d = 100, n = 2500: the paper's size

The first takes 2 minutes on one core (the recursion; the limit takes 5 seconds). The second takes
3 minutes on one core and 0.9 GB: the test error falls from 18 to 2·10⁻⁵ by t = 24, where
the limit stops to hold at α = 0.01. The limit costs 1.5 minutes; the recursion would need
2.4·10⁶ steps of 0.04 s, more than a day, and is run for 300 of them.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Figure 1.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, Mean, NoisyGradientDescent, derive_limit
from numerics import CompiledLimit, compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]

VARIANCE = 0.1
"""Of the label noise, as in the paper."""


def sensing_limit(data: Array, targets: Array) -> Limit:
    """The limit of matrix sensing with label noise, in matrices."""
    d = sp.Symbol("d", integer=True, positive=True)
    a, u = sp.MatrixSymbol("A", d, d), sp.MatrixSymbol("U", d, d)
    y, xi = sp.symbols("y xi", real=True)
    residual, given = sp.Trace(a * u * u.T) - y, {a: data, y: targets}
    noisy = Mean((residual - xi) ** 2, given, independent=xi)
    return derive_limit(NoisyGradientDescent(Mean(residual**2, given), noisy, u, xi))


@dataclass(frozen=True)
class Sensing:
    """Measurements of a low-rank matrix.

    Attributes
    ----------
    limit : CompiledLimit
        α → 0.
    truth : ndarray, shape (d, d)
        X*.
    data : ndarray, shape (n, d²)
        A_i.
    """

    limit: CompiledLimit
    truth: Array
    data: Array

    @classmethod
    def random(cls, d: int, rank: int, n: int, seed: int = 0) -> Sensing:
        """Gaussian measurements of a random X* of this rank."""
        rng = np.random.default_rng(seed)
        factor = rng.normal(size=(d, rank))
        truth = factor @ factor.T / np.linalg.norm(factor, 2) ** 2
        data = rng.normal(size=(n, d, d))
        targets = data.reshape(n, -1) @ truth.ravel()
        return cls(compile_limit(sensing_limit(data, targets)), truth, data.reshape(n, -1))

    @property
    def start(self) -> Array:
        """U₀ = I, flat."""
        return np.eye(len(self.truth)).ravel()

    def test_error(self, w: Array) -> float:
        """‖UUᵀ − X*‖_F² / ‖X*‖_F², the mean squared error on fresh measurements, relative."""
        u = w.reshape(self.truth.shape)
        return float(np.sum((u @ u.T - self.truth) ** 2) / np.sum(self.truth**2))

    def training_error(self, w: Array) -> float:
        """Mean squared residual, in the same unit."""
        u = w.reshape(self.truth.shape)
        residuals = self.data @ (u @ u.T - self.truth).ravel()
        return float(np.mean(residuals**2) / np.sum(self.truth**2))

    @property
    def shrinkage(self) -> float:
        """Rate, in slow time, at which directions without measurements of their own shrink."""
        return 4 * (len(self.truth) + 1) / len(self.data)


@dataclass(frozen=True)
class Curve:
    """Errors and the smallest positive eigenvalue of H along a path, over iterations.

    `smallest` is NaN where it was not asked for, `last` the weights at the end.
    """

    iterations: Array
    test: Array
    training: Array
    smallest: Array
    last: Array
    seconds: float


def follow(
    sensing: Sensing, iterations: Array, weights: Array, seconds: float, spectrum: bool = True
) -> Curve:
    """Measure a path."""
    return Curve(
        iterations,
        np.array([sensing.test_error(w) for w in weights]),
        np.array([sensing.training_error(w) for w in weights]),
        np.array([sensing.limit.spectrum(w)[0] if spectrum else np.nan for w in weights]),
        weights[-1],
        seconds,
    )


def recursion(
    sensing: Sensing, iterations: Array, alpha: float, variance: float, spectrum: bool = True
) -> Curve:
    """Gradient descent from I, with label noise of this variance or without (0)."""
    begin = time.perf_counter()
    run = {"alpha": alpha, "sigma": np.sqrt(variance), "steps": iterations[-1], "seed": 0}
    problem = sensing.limit.limit.problem
    paths = simulate_descent(problem, sensing.start, paths=1, record=iterations, **run)
    seconds = time.perf_counter() - begin
    return follow(sensing, paths.times, paths.weights[0], seconds, spectrum)


def limit(sensing: Sensing, start: Array, times: Array, alpha: float, finite: bool) -> Curve:
    """The limit from the point of Γ beside `start`, over the iterations that it stands for."""
    begin = time.perf_counter()
    at_step = alpha if finite else None
    run = {"time": times[-1], "record": times, "paths": 1, "seed": 0}
    paths = simulate_limit(sensing.limit, start, alpha=at_step, **run)
    seconds = time.perf_counter() - begin
    return follow(sensing, times / (alpha**2 * VARIANCE), paths.weights[0], seconds)


@styled
def draw(sensing: Sensing, alpha: float, curves: dict[str, Curve], slow: Curve) -> Figure:
    """Test and training error, and the collapse of the curvature."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    errors, collapse = figure.subplots(1, 2)
    for color, (name, curve) in enumerate(curves.items()):
        errors.loglog(curve.iterations, curve.test, f"C{color}-", label=f"test, {name}")
        errors.loglog(curve.iterations, curve.training, f"C{color}:", label=f"training, {name}")
        if np.isfinite(curve.smallest).any():
            collapse.loglog(curve.iterations, curve.smallest, f"C{color}-", label=name)
    # Without label noise the iterates stay at the point of Γ where the limit starts.
    quiet = curves["no label noise"].iterations[-1], slow.iterations[-1]
    errors.loglog(quiet, [slow.test[0]] * 2, "C0-.", label="test, end of training without noise")
    shown = slow.iterations > 0
    errors.loglog(slow.iterations[shown], slow.test[shown], "k--", label="test, limit")
    collapse.loglog(slow.iterations[shown], slow.smallest[shown], "k--", label="limit")
    bound = alpha * VARIANCE * sensing.shrinkage
    collapse.axhline(bound, color="0.6", label="motion along Γ as fast as relaxation to it")
    errors.set(xlabel="iterations", ylabel="relative squared error", ylim=(1e-7, 1e2))
    collapse.set(xlabel="iterations", ylabel="smallest positive eigenvalue of H", ylim=(1e-6, 10))
    errors.legend(fontsize="small")
    collapse.legend(fontsize="small")
    return figure


def small() -> Figure:
    """Recursion and limit in full at d = 20, r = 1, n = 100 (M = N − n = 300)."""
    sensing, alpha = Sensing.random(d=20, rank=1, n=100), 0.01
    iterations = np.unique(np.geomspace(1, 5e5, 60).astype(int))
    curves = {
        "no label noise": recursion(sensing, iterations[iterations < 5000], alpha, 0.0),
        "label noise": recursion(sensing, iterations, alpha, VARIANCE),
    }
    start = curves["no label noise"].last
    slow = limit(sensing, start, np.linspace(0, 5, 41), alpha, finite=True)
    ratio = curves["label noise"].seconds / slow.seconds
    print(f"limit {slow.seconds:.1f} s, recursion {ratio:.0f} times as long")
    return draw(sensing, alpha, curves, slow)


def real() -> Figure:
    """The limit at d = 100, r = 5, n = 2500, and 300 iterations of the recursion."""
    sensing, alpha = Sensing.random(d=100, rank=5, n=2500), 0.01
    iterations = np.unique(np.geomspace(1, 300, 10).astype(int))
    curves = {
        name: recursion(sensing, iterations, alpha, variance, spectrum=False)
        for name, variance in (("no label noise", 0.0), ("label noise", VARIANCE))
    }
    start = curves["no label noise"].last
    times = np.array([0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 6.0, 12.0, 18.0, 24.0])
    slow = limit(sensing, start, times, alpha, finite=False)
    for row in zip(slow.iterations, slow.test, slow.smallest, strict=True):
        print("iteration {:.2e}: test error {:.2e}, smallest curvature {:.2e}".format(*row))
    a_step = curves["label noise"].seconds / iterations[-1]
    print(f"limit {slow.seconds:.0f} s, recursion {a_step * slow.iterations[-1]:.0f} s")
    return draw(sensing, alpha, curves, slow)


if __name__ == "__main__":
    if sys.argv[1:] == ["real"]:
        print(save(real(), "matrix_sensing_real"))
    else:
        print(save(small(), "matrix_sensing"))
