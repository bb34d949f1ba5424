"""Label noise finds the low-rank matrix (Blanc et al., Figure 1).

What the paper shows: a matrix X* = U*U*ᵀ of rank r is to be found from n = 5dr measurements
⟨A_i, UUᵀ⟩, A_i standard Gaussian, by gradient descent in U from U₀ = I, d = 100, r = 5. Training
errors vanish soon; the test error stays large without label noise, and with label noise of variance
0.1 it goes to 0, on a time scale of 1/α².

What is done here: X* of spectral norm 1, test error ‖UUᵀ − X*‖_F²/‖X*‖_F². With label noise the
iterates follow dU/dt = −(1/n) P∇reg, t = kα²σ², on the zero-error set, with
reg = ⟨‖(A + Aᵀ)U‖²⟩; recursion and limit at the step are drawn, α is ours. At X* the rank of J
falls: the smallest positive eigenvalue of H decays along the limit. The limit describes the
iterates as long as they relax to Γ faster than they move along it: until αλ_min(H) is down to
α²σ² · 4(d + 1)/n, the rate at which spare directions shrink.

    python worked_examples/matrix_sensing.py            d = 20, r = 1, n = 100, α = 0.01
    python worked_examples/matrix_sensing.py real       the paper's size, α = 0.03

What came out (printed by the runs): at d = 20 the test error without label noise stays at 14. With
it, recursion and limit both have 13, 9.6 and 0.62 after 10³, 10⁴ and 10⁵ iterations; after 5·10⁵,
past the bound, the recursion has 5.5·10⁻⁴, where it fluctuates, and the limit 2.8·10⁻⁵. At the
paper's size the test error without label noise stays at 17.1. With it, recursion and limit have
8.48 and 8.46 after 10 000 iterations (t = 0.9), both 1.32 after 40 000, 0.0535 and 0.0525 after
100 000, 2.8·10⁻³ and 2.4·10⁻³ after 160 000 (t = 14.4), where the curvature, 1.9·10⁻³, is four
times the bound; there the limit is stopped. The recursion levels out at 3.6·10⁻⁴, to t = 23.9.

The first takes 2 minutes of the processor. The second takes half an hour, 11 minutes of it beside
the recursion, and 1.3 GB; the recursion is kept in the folder `output`, or in one that is named
after `real`, and taken up where it was interrupted.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Figure 1.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray
from pictures import OUTPUT, save
from tqdm.auto import tqdm

from derive import Limit, Mean, NoisyGradientDescent, derive_limit
from numerics import CompiledLimit, compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]
Single = NDArray[np.float32]

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

    `smallest` is NaN where it was not computed, `last` the weights at the end.
    """

    iterations: Array
    test: Array
    training: Array
    smallest: Array
    last: Array
    seconds: float


def follow(
    sensing: Sensing, iterations: Array, weights: Array, seconds: float, every: int = 1
) -> Curve:
    """Measure a path, the spectrum at one point of `every`."""
    smallest = np.full(len(weights), np.nan)
    smallest[::every] = [sensing.limit.spectrum(w)[0] for w in weights[::every]]
    return Curve(
        iterations,
        np.array([sensing.test_error(w) for w in weights]),
        np.array([sensing.training_error(w) for w in weights]),
        smallest,
        weights[-1],
        seconds,
    )


def recursion(sensing: Sensing, iterations: Array, alpha: float, variance: float) -> Curve:
    """Gradient descent from I, with label noise of this variance or without (0)."""
    begin = time.perf_counter()
    run = {"alpha": alpha, "sigma": np.sqrt(variance), "steps": iterations[-1], "seed": 0}
    problem = sensing.limit.limit.problem
    paths = simulate_descent(problem, sensing.start, paths=1, record=iterations, **run)
    return follow(sensing, paths.times, paths.weights[0], time.perf_counter() - begin)


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def pull(rows: Single, gram: Single, labels: Single, force: Single) -> None:
    """Write Σ_i r_i S_i with r_i = ⟨S_i, gram⟩ − labels_i to `force`.

    The S_i are read from memory once, four at a time; nothing else takes time.
    """
    force[:] = 0
    for i in range(0, len(rows), 4):
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        ra, rb, rc, rd = -labels[i], -labels[i + 1], -labels[i + 2], -labels[i + 3]
        for j in range(len(gram)):
            ra += a[j] * gram[j]
            rb += b[j] * gram[j]
            rc += c[j] * gram[j]
            rd += d[j] * gram[j]
        for j in range(len(gram)):
            force[j] += ra * a[j] + rb * b[j] + rc * c[j] + rd * d[j]


@dataclass(frozen=True)
class Triangles:
    """The recursion in single precision, on upper triangles, for n a multiple of four.

    As UUᵀ is symmetric, only the symmetric part of A_i counts. A step at d = 100 takes 3.5 ms, a
    tenth of what it takes with all entries in double precision.

    Attributes
    ----------
    rows : ndarray of float32, shape (n, d(d + 1)/2)
        Upper triangles of A_i + A_iᵀ, with halved diagonals: ⟨A_i, UUᵀ⟩ is their inner product
        with the upper triangle of UUᵀ.
    targets : ndarray, shape (n,)
        ⟨A_i, X*⟩.
    """

    rows: Single
    targets: Array

    @classmethod
    def of(cls, sensing: Sensing) -> Triangles:
        """The same measurements."""
        d = len(sensing.truth)
        data = sensing.data.reshape(-1, d, d)
        both = data + data.transpose(0, 2, 1)
        both[:, range(d), range(d)] /= 2
        rows = np.ascontiguousarray(both[:, *np.triu_indices(d)], dtype=np.float32)
        return cls(rows, sensing.data @ sensing.truth.ravel())

    def descend(self, u: Array, steps: int, alpha: float, sigma: float, rng: Generator) -> Array:
        """U after so many steps of gradient descent from u, shape (d, d)."""
        upper, n = np.triu_indices(len(u)), len(self.targets)
        force = np.empty_like(self.rows[0])
        symmetric = np.zeros_like(u)
        for _ in range(steps):
            labels = self.targets + sigma * rng.normal(size=n) if sigma else self.targets
            pull(self.rows, (u @ u.T)[upper].astype(np.float32), labels.astype(np.float32), force)
            symmetric[upper] = force
            u = u - 2 * alpha / n * (symmetric + symmetric.T) @ u
        return u


def resumed(
    sensing: Sensing, iterations: NDArray[np.int64], alpha: float, variance: float, folder: Path
) -> Curve:
    """Gradient descent from I by `Triangles`, kept in the folder and taken up where it stopped.

    The noise that follows iteration k is seeded with k: a run that was interrupted ends as one
    that was not.
    """
    begin, d = time.perf_counter(), len(sensing.truth)
    place = folder / f"matrix_sensing_{d}_{alpha}_{variance}.npz"
    weights = list(np.load(place)["weights"]) if place.exists() else []
    triangles = Triangles.of(sensing)
    u = np.reshape(weights[-1] if weights else sensing.start, (d, d))
    done = iterations[len(weights) - 1] if weights else 0
    with tqdm(total=iterations[-1], initial=done, unit="step", disable=None) as progress:
        for k in iterations[len(weights) :]:
            rng = np.random.default_rng([0, done])
            u = triangles.descend(u, k - done, alpha, np.sqrt(variance), rng)
            weights.append(u.ravel())
            progress.update(k - done)
            done = k
            unfinished = place.with_suffix(".part.npz")
            np.savez(unfinished, weights=weights)
            unfinished.replace(place)
    seconds = time.perf_counter() - begin
    return follow(sensing, iterations, np.array(weights), seconds, every=8)


def limit(
    sensing: Sensing,
    start: Array,
    times: Array,
    alpha: float,
    *,
    finite: bool,
    tolerance: float = 1e-4,
) -> Curve:
    """The limit from the point of Γ beside `start`, over the iterations that it stands for."""
    begin = time.perf_counter()
    at_step = alpha if finite else None
    run = {"time": times[-1], "record": times, "paths": 1, "seed": 0, "tolerance": tolerance}
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
        known = np.isfinite(curve.smallest)
        collapse.loglog(curve.iterations[known], curve.smallest[known], f"C{color}-", label=name)
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
    for name, curve in {**curves, "limit": slow}.items():
        for k in (1e3, 1e4, 1e5, 5e5):
            if k < 1.01 * curve.iterations[-1]:
                error = np.interp(k, curve.iterations, np.log(curve.test))
                print(f"{name}, iteration {k:.0e}: test error {np.exp(error):.1e}")
    return draw(sensing, alpha, curves, slow)


def real(folder: Path) -> Figure:
    """Recursion and limit in full at d = 100, r = 5, n = 2500."""
    sensing, alpha = Sensing.random(d=100, rank=5, n=2500), 0.03
    short = np.unique(np.geomspace(1, 10_000, 40).astype(int))
    iterations = np.concatenate([short, np.arange(15_000, 270_000, 5000)])
    folder.mkdir(exist_ok=True)
    quiet = resumed(sensing, short[short < 2000], alpha, 0.0, folder)
    noisy = resumed(sensing, iterations, alpha, VARIANCE, folder)
    beside = np.flatnonzero((iterations >= 1000) & (iterations <= 160_000))[::3]
    times = alpha**2 * VARIANCE * np.concatenate([[0], iterations[beside]])
    slow = limit(sensing, quiet.last, times, alpha, finite=True, tolerance=1e-3)
    print(f"no label noise: test error {quiet.test[-1]:.1f}, training {quiet.training[-1]:.0e}")
    print("iterations, slow time; test error of the recursion, of the limit; its curvature")
    for k, i in enumerate(beside, 1):
        errors = f"{noisy.test[i]:.2e} {slow.test[k]:.2e}; {slow.smallest[k]:.1e}"
        print(f"{iterations[i]:6d} {times[k]:5.2f}; {errors}")
    for k in (-20, -10, -1):
        print(
            f"{iterations[k]:6d}: recursion {noisy.test[k]:.2e}, training {noisy.training[k]:.0e}"
        )
    bound = alpha * VARIANCE * sensing.shrinkage
    print(f"the limit describes the iterates while its curvature is far above {bound:.1e}")
    print(f"limit {slow.seconds:.0f} s, recursion {noisy.seconds:.0f} s")
    return draw(sensing, alpha, {"no label noise": quiet, "label noise": noisy}, slow)


if __name__ == "__main__":
    if sys.argv[1:2] == ["real"]:
        print(save(real(Path(sys.argv[2]) if sys.argv[2:] else OUTPUT), "matrix_sensing_real"))
    else:
        print(save(small(), "matrix_sensing"))
