"""A small network on digits, from few samples to too many (next checks on arXiv 2404.12293).

f(x) = Σ_j a_j tanh(b_j·x)/√m, with m = 12 units on six principal components of scikit-learn's
digits and a constant (`pip install .[examples]`), is to tell digits below five from the others,
targets ±½, under squared loss: N = 96 weights for the first n images, n = 16 to 512. Trained by
Levenberg-Marquardt, it is left to noisy gradient descent with α = 0.3. The checks are those that
the paper has left: discrete descent with several kinds of noise on two time scales, whether the
classification says what moves, and finite samples. Network, data and sizes are this project's.

Few samples, n < N: training ends on Γ, at a loss of round-off. Label noise moves the weights along
it in 1/(α²σ²) iterations, dropout of units (Gaussian, shared by all samples) in 1/(ασ²), and
minibatches come to rest, their loss falling to nothing, as derived. What came out (printed by the
run): displacements of the projected iterate, measured over predicted by the limit at the step,
± one standard error over 8 paths:

    n =                        16                32                64
    label noise, σ = 0.02      0.9989 ± 0.0008   1.0002 ± 0.0009   0.9996 ± 0.0005
    dropout, σ = 0.0025        0.9997 ± 0.0007   0.9992 ± 0.0004   0.9962 ± 0.0004

The limit α → 0 is off by 3 to 10 %. At n = 64 dropout is off by more than the error: it moves the
iterate off Γ by σ²H⁺∇Reg, large where the curvature is small. It vanishes with σ: σ = 0.005 gave
0.9888 ± 0.0008 there, and σ = 0.02, 0.01, 0.005 gave 0.986, 0.994, 0.999 at n = 32.

As n passes the rank, the picture breaks down, and not at once. The smallest positive curvature is
7·10⁻³, 6·10⁻⁴, 6·10⁻⁵ and 5·10⁻⁸ at n = 16, 32, 64 and 80: ever smaller noise is small enough for
the limit, and Γ is reached ever more slowly. With n = N training does not end, and from n = 128
on not all samples can be fitted (from 256 on, training has not come to its end either): there is no
zero loss, no Γ and no limit, which is refused with that reason. Label noise and dropout still move
the weights, in valleys that are almost flat and nowhere at zero, and minibatches, whose noise now
never vanishes, rest nowhere: their loss stays at 6·10⁻⁴, 4·10⁻³ and 2·10⁻² for n = 128, 256, 512.

The picture: loss and smallest curvature after training; displacement under label noise, of the
iterate (dots, one standard error) and of the limit (lines), dotted where there is no limit; the
ratios above; the loss of minibatches of 8 from a perturbation of the trained weights.

    python worked_examples/finite_samples_on_digits.py

takes 17 minutes on two cores, a third of it to compile the first time; 0.7 GB a process. Numbers of
samples that are given behind it, such as 16 32 128, are studied alone, in one process.

References
----------
Shalova, Schlichting, Peletier, arXiv 2404.12293, Theorems A and B.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save
from scipy.optimize import least_squares
from sklearn.datasets import load_digits
from two_layer import TANH, TwoLayerNet

import derive
from derive import Bernoulli, Mean, NoisyGradientDescent, derive_limit
from numerics import compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled
from numerics.validation import mean

Array = NDArray[np.float64]

LABELS, DROPOUT, BATCHES = "label noise", "dropout", "minibatches"


@cache
def principal_components() -> tuple[Array, NDArray[np.int64]]:
    """The images by their principal components, of unit variance, largest first; their digits."""
    images, digits = load_digits(return_X_y=True)
    centred = images - images.mean(axis=0)
    components = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    return components / components.std(axis=0), digits


@dataclass(frozen=True)
class Network:
    """A network of m units on F features and a constant, and n samples for it.

    Attributes
    ----------
    units, features, samples : int
        m, F and n.
    """

    units: int
    features: int
    samples: int

    @property
    def dimension(self) -> int:
        """Number N of weights (a, b)."""
        return self.units * (self.features + 2)

    @cached_property
    def data(self) -> tuple[Array, Array]:
        """Principal components of unit variance with a constant, shape (n, F + 1), and ±½."""
        components, digits = principal_components()
        chosen = components[: self.samples, : self.features]
        inputs = np.column_stack([chosen, np.ones(len(chosen))])
        return inputs, np.where(digits < 5, 0.5, -0.5)[: self.samples]

    def residuals(self, w: Array) -> Array:
        """h(x_i) − y_i, shape (n,)."""
        x, y = self.data
        return self._net(w).values(x) - y

    def jacobian(self, w: Array) -> Array:
        """Derivatives of h(x_i), shape (n, N)."""
        slopes = self._net(w).jacobian(self.data[0])
        slopes[:, : self.units] /= np.sqrt(self.units)
        return slopes

    def loss(self, w: Array) -> float:
        """L(w)."""
        return float(np.mean(self.residuals(w) ** 2))

    def curvatures(self, w: Array) -> Array:
        """Eigenvalues of (2/n) JᵀJ, largest first, as many as samples or weights."""
        return 2 / self.samples * np.linalg.svd(self.jacobian(w), compute_uv=False) ** 2

    @cached_property
    def trained(self) -> Array:
        """Levenberg–Marquardt from random weights: to round-off on Γ, or as far as it gets."""
        rng = np.random.default_rng(0)
        m, inputs = self.units, self.features + 1
        start = np.concatenate([rng.normal(size=m), 0.6 * rng.normal(size=m * inputs)])
        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 100}
        return np.asarray(least_squares(self.residuals, start, self.jacobian, **tight).x)

    def noisy(self, mechanism: str, near: Array) -> NoisyGradientDescent:
        """Noisy gradient descent of one mechanism, in symbols for one sample."""
        m, inputs = self.units, self.features + 1
        x, y = sp.symbols(f"x1:{inputs + 1}", real=True), sp.Symbol("y", real=True)
        a, eta = (sp.symbols(f"{letter}1:{m + 1}", real=True) for letter in ("a", "eta"))
        b = np.array([sp.symbols(f"b{j}_1:{inputs + 1}", real=True) for j in range(1, m + 1)])
        terms = a * np.array([sp.tanh(z) for z in b @ np.array(x)]) / sp.sqrt(m)
        residual = sum(terms) - y
        data = {(*x, y): np.column_stack(self.data)}
        loss, given = Mean(residual**2, data), {"weights": (*a, *b.ravel()), "near": near}
        if mechanism == DROPOUT:
            noisy = Mean((sum(terms * (1 + np.array(eta))) - y) ** 2, data)
            return NoisyGradientDescent(loss, noisy, noise=eta, **given)
        if mechanism == LABELS:
            noisy = Mean((residual - eta[0]) ** 2, data, independent=eta[0])
            return NoisyGradientDescent(loss, noisy, noise=eta[0], **given)
        noisy = Mean((1 + eta[0]) * residual**2, data, independent=eta[0])
        return NoisyGradientDescent(loss, noisy, noise=eta[0], law=Bernoulli(), **given)

    def _net(self, w: Array) -> TwoLayerNet:
        m = self.units
        return TwoLayerNet(TANH, w[:m] / np.sqrt(m), w[m:].reshape(m, -1))


@dataclass(frozen=True)
class Run:
    """Step size, noise scale, slow time, number of paths, and times of record."""

    alpha: float
    sigma: float
    time: float
    paths: int
    records: int = 9


@dataclass(frozen=True)
class Course:
    """How far the weights move, in the direction of the mean displacement.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Slow time.
    moved, errors : ndarray, shape (T,)
        Mean over paths, and its standard error.
    predicted : ndarray, shape (T,), or None
        By the limit at the step; None where there is no limit.
    ratio, error : float
        Displacement of the projected iterate at the end by that of the limit at the step, with
        its standard error; NaN where there is no limit.
    vanishing : float
        The same by that of the limit α → 0.
    refusal : str
        Why there is no limit.
    """

    times: Array
    moved: Array
    errors: Array
    predicted: Array | None = None
    ratio: float = np.nan
    error: float = np.nan
    vanishing: float = np.nan
    refusal: str = ""


def follow(network: Network, mechanism: str, run: Run, seed: int = 0) -> Course:
    """Run the recursion from the trained weights and set the limit beside it."""
    start = network.trained
    problem = network.noisy(mechanism, start)
    scales = {derive.alpha: run.alpha, derive.sigma: run.sigma}
    # That of a few samples, which the weights can fit: it depends on the mechanism alone.
    few = derive_limit(problem.written_out(range(min(3, network.samples))))
    a_unit = float(few.time_scale.subs(scales))
    when = np.round(np.linspace(0, run.time, run.records) * a_unit).astype(int)
    drive = {"alpha": run.alpha, "steps": int(when[-1]), "seed": seed, "record": when}
    found = simulate_descent(problem, start, sigma=run.sigma, paths=run.paths, **drive).weights
    try:
        limit = derive_limit(problem)
        at_step, vanishing = (compile_limit(limit.at_step(size)) for size in (run.alpha, 0))
    except ValueError as refusal:
        # Where training has not ended on Γ, descent without noise still moves.
        quiet = simulate_descent(problem, start, sigma=0.0, paths=1, **drive).weights
        half = run.paths // 2
        direction = unit((found[:half] - quiet)[:, -1].mean(axis=0))
        moved = along(direction, found[half:] - quiet)
        return Course(when / a_unit, *moved, refusal=str(refusal))
    # PΣP = 0 for both mechanisms: the limits are deterministic, and one path is enough.
    times = when / a_unit
    slow = {"time": times[-1], "paths": 1, "seed": seed, "record": times, "step": times[-1] / 500}
    lines = [
        simulate_limit(fast, start, **slow).weights[0] - start for fast in (at_step, vanishing)
    ]
    direction = unit(lines[0][-1])
    predicted, ideal = (line @ direction for line in lines)
    far, error = along(direction, at_step.descent_limit(found[:, -1], run.alpha) - start)
    ratios = far / predicted[-1], error / predicted[-1], far / ideal[-1]
    return Course(times, *along(direction, found - start), predicted, *map(float, ratios))


def unit(vector: Array) -> Array:
    """The vector by its length."""
    return vector / np.linalg.norm(vector)


def along(direction: Array, shifts: Array) -> tuple[Array, Array]:
    """Mean over paths of the component in a direction, and its standard error."""
    estimate = mean(shifts @ direction)
    return estimate.value, estimate.error


def loss_under_batches(
    network: Network, size: int, *, alpha: float, steps: int, paths: int, records: int = 41
) -> tuple[Array, Array]:
    """Iterations and mean loss of minibatch descent, from a perturbation of the trained weights.

    Each sample is in a batch with probability B/n, which makes n/B − 1 the variance of the noise.
    """
    trained = network.trained
    start = trained + 0.01 * np.random.default_rng(1).normal(size=trained.shape)
    problem = network.noisy(BATCHES, trained)
    run = {"alpha": alpha, "sigma": np.sqrt(network.samples / size - 1), "steps": steps}
    found = simulate_descent(problem, start, paths=paths, seed=0, record=records, **run)
    losses = [[network.loss(w) for w in path] for path in found.weights]
    return found.times, np.mean(losses, axis=0)


def line(course: Course) -> str:
    """Ratio of measured to predicted displacement, or why there is none."""
    if course.predicted is None:
        return course.refusal
    return f"{course.ratio:.4f} ± {course.error:.4f} (α → 0: {course.vanishing:.3f})"


@styled
def draw(
    networks: Mapping[int, Network],
    courses: Mapping[int, Mapping[str, Course]],
    batches: Mapping[int, tuple[Array, Array]],
) -> Figure:
    """The fit over n, displacements over time and over n, and the loss under minibatches."""
    figure = Figure(figsize=(10.0, 7.0), layout="constrained")
    (fit, moved), (ratios, losses) = figure.subplots(2, 2)
    dimension = next(iter(networks.values())).dimension
    draw_fit(fit, networks)
    for color, (n, found) in enumerate(courses.items()):
        course = found[LABELS]
        bars = {"color": f"C{color}", "label": f"n = {n}"}
        if course.predicted is None:
            moved.errorbar(course.times / n, course.moved, course.errors, fmt="x:", **bars)
            continue
        moved.errorbar(course.times / n, course.moved, course.errors, fmt="o", **bars)
        moved.plot(course.times / n, course.predicted, f"C{color}-")
    moved.set(xlabel="slow time t/n = kα²σ²/n", ylabel="displacement", title=LABELS)
    for mark, name in zip("os", (LABELS, DROPOUT), strict=True):
        shown = {n: found[name] for n, found in courses.items() if n < dimension}
        values, bars = ([getattr(c, f) for c in shown.values()] for f in ("ratio", "error"))
        ratios.errorbar(list(shown), values, bars, fmt=mark, capsize=3, label=name)
    ratios.axhline(1, color="0.6", linewidth=1)
    first, last = min(networks), max(networks)
    ratios.axvspan(dimension, 1.4 * last, color="0.9", label="no Γ: no limit")
    ratios.set(xscale="log", xlim=(first / 1.4, 1.4 * last))
    ratios.set(title="displacement: measured/predicted")
    name_samples(ratios, networks)
    for color, (n, (times, values)) in enumerate(batches.items()):
        losses.semilogy(times, values, f"C{color}-", label=f"n = {n}")
    losses.set(xlabel="iterations", ylabel="loss", title=BATCHES)
    for axes in (moved, ratios, losses):
        axes.legend(fontsize="small")
    return figure


def draw_fit(axes: Axes, networks: Mapping[int, Network]) -> None:
    """Loss after training and smallest curvature over n."""
    ends = [network.trained for network in networks.values()]
    nets = list(zip(networks.values(), ends, strict=True))
    axes.loglog(list(networks), [net.loss(w) for net, w in nets], "ko-", label="loss")
    smallest = [net.curvatures(w)[-1] for net, w in nets]
    axes.loglog(list(networks), smallest, "C3s-", label="smallest positive curvature")
    axes.axvline(nets[0][0].dimension, color="0.6", linewidth=1, label="n = N")
    axes.set(title="end of training")
    axes.legend(fontsize="small")
    name_samples(axes, networks)


def name_samples(axes: Axes, networks: Mapping[int, Network]) -> None:
    """Marks at the numbers of samples alone."""
    axes.minorticks_off()
    axes.set_xticks(list(networks), labels=list(map(str, networks)))
    axes.set_xlabel("n")


def runs_for(network: Network) -> dict[str, Run]:
    """Noise small enough for the limit where there is one; larger, for fewer steps, elsewhere."""
    few = network.samples < network.dimension
    labels, dropout = (0.02, 0.0025) if few else (0.15, 0.02)
    time = 0.15 * network.samples
    return {LABELS: Run(0.3, labels, time, 8), DROPOUT: Run(0.3, dropout, 1.0, 8)}


def study(network: Network) -> tuple[dict[str, Course], tuple[Array, Array]]:
    """All runs of one network, a line printed after each."""
    courses = {}
    for name, run in runs_for(network).items():
        courses[name] = follow(network, name, run)
        print(f"n = {network.samples}, {name}: {line(courses[name])}", flush=True)
    batches = loss_under_batches(network, 8, alpha=0.3, steps=20_000, paths=4)
    print(f"n = {network.samples}, {BATCHES}: loss {batches[1][-1]:.2g}", flush=True)
    return courses, batches


def studies_of(nets: Mapping[int, Network]) -> dict[int, Any]:
    """The studies of several networks, by two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # The longest first, so that both processes end together.
        waiting = {n: pool.submit(study, nets[n]) for n in sorted(nets, reverse=True)}
        return {n: waiting[n].result() for n in nets}


if __name__ == "__main__":
    chosen = [int(n) for n in sys.argv[1:]]
    sizes = chosen or [16, 32, 64, 96, 128, 256, 512]
    nets = {n: Network(units=12, features=6, samples=n) for n in sizes}
    followed = {n: net for n, net in nets.items() if n != 96}
    studies = {n: study(net) for n, net in followed.items()} if chosen else studies_of(followed)
    courses = {n: found for n, (found, _) in studies.items()}
    batches = {n: losses for n, (_, losses) in studies.items()}
    print(save(draw(nets, courses, batches), "finite_samples_on_digits"))
