"""Label noise on the net x·(u ⊙ u), two samples: Adam and gradient descent go to different ends.

What the paper shows (Blanc et al., COLT 2020, Theorem 1): with label noise gradient descent lowers
tr H on Γ. The limit of Adam, the net and its data are this project's. β = u ⊙ u ≥ 0 fits both
samples on a polygon with four corners, and tr H is linear in β; Adam, its second moment constant
while the weights relax, lowers Σ√H_ii (less a logarithm for ε).

What came out (printed by the run): from the same start, recursion and limit of each go to the
corner that is best in its own sense:

    gradient descent  β = (0.000, 1.258, 0.505, 0.000), limit (0.000, 1.250, 0.500, 0.000)
    Adam              β = (0.167, 0.000, 0.000, 1.337), limit (0.167, 0.000, 0.000, 1.333)

What is left is the fluctuation across Γ. The window is that of the run: δ = 0.001 beside αμ from
0.03 to 0.25, and second moments that change by 3·10⁻⁶ a step.
"""

import itertools

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from pictures import save

from derive import NoisyGradientDescent, derive_limit
from derive.optimizers import Adam, GradientDescent
from numerics import plots, simulate_descent, simulate_limit

SAMPLES, TARGETS = np.array([[0, 2, 3, 3], [2, 2, 1, 2]]), np.array([4, 3])
START = np.sqrt([0.275, 0.2, 0.35, 0.85])
RECORDED = 60
FLATNESS = {
    "gradient descent": ("tr H", lambda beta: 4 * beta @ (SAMPLES**2).sum(axis=0)),
    "Adam": ("Σ√H_ii", lambda beta: 2 * np.sqrt(beta * (SAMPLES**2).sum(axis=0)).sum(axis=-1)),
}
"""Both in terms of β: H_ii = 4 u_i² Σ x_i² where the samples are fitted."""

u, eta = sp.symbols("u1:5", real=True), sp.symbols("eta1:3", real=True)
misfits = [
    sum(x * w**2 for x, w in zip(row, u, strict=True)) - y
    for row, y in zip(SAMPLES.tolist(), TARGETS.tolist(), strict=True)
]
loss = sum(r**2 for r in misfits) / 2
noisy_loss = sum((r - e) ** 2 for r, e in zip(misfits, eta, strict=True)) / 2
slow_moment = sp.Rational(1, 1000)
RUNS = {
    "gradient descent": (GradientDescent(), 0.002, 0.5, 2.0),
    "Adam": (Adam(slow_moment, "constant", epsilon=sp.Rational(3, 10)), 0.02, 0.1, 1.5),
}
"""Optimizer, α, σ and slow time."""


def corners() -> np.ndarray:
    """Fits by two entries of β, the others zero."""
    found = []
    for pair in itertools.combinations(range(4), 2):
        beta = np.zeros(4)
        beta[list(pair)] = np.linalg.solve(SAMPLES[:, pair], TARGETS)
        if (beta >= 0).all():
            found.append(beta)
    return np.array(found)


def paths(name: str) -> tuple[np.ndarray, np.ndarray]:
    """β along the recursion, the mean of eight paths, and along its limit."""
    optimizer, alpha, sigma, time = RUNS[name]
    near = tuple(sp.Rational(str(round(x, 6))) for x in START)
    problem = NoisyGradientDescent(loss, noisy_loss, u, eta, near=near, optimizer=optimizer)
    limit = derive_limit(problem)
    print(limit, end="\n\n")
    if name == "Adam":
        print(limit.run(alpha, sigma), end="\n\n")
    steps = round(time / (alpha * sigma) ** 2)
    run = simulate_descent(
        problem, START, alpha=alpha, sigma=sigma, steps=steps, paths=8, seed=0, record=RECORDED
    )
    flow = simulate_limit(
        limit, START, time=time, paths=1, seed=0, record=RECORDED, alpha=alpha, tolerance=1e-5
    )
    return (run.weights**2).mean(axis=0), flow.weights[0] ** 2


@plots.styled
def picture(found: dict[str, tuple[np.ndarray, np.ndarray]], ends: np.ndarray) -> Figure:
    """The polygon, level lines of both flatnesses, and the way of each optimizer."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    b2, b4 = np.meshgrid(np.linspace(0, 1.3, 300), np.linspace(0, 1.4, 300))
    b3 = (TARGETS[0] - 2 * b2 - 3 * b4) / 3
    beta = np.stack([(TARGETS[1] - 2 * b2 - b3 - 2 * b4) / 2, b2, b3, b4], axis=-1)
    beta[(beta < 0).any(axis=-1)] = np.nan
    for (name, (recursion, limit)), colour in zip(found.items(), plots.SERIES, strict=False):
        words, flatness = FLATNESS[name]
        style = "solid" if name == "Adam" else "dashed"
        axes.contour(
            b2, b4, flatness(beta), 12, colors=colour, linestyles=style, linewidths=0.5, alpha=0.6
        )
        axes.plot(limit[:, 1], limit[:, 3], color=colour, label=f"limit, {name}")
        axes.plot(
            recursion[::3, 1],
            recursion[::3, 3],
            "o",
            ms=3.5,
            color=colour,
            label=name,
            clip_on=False,
        )
        best = ends[np.argmin(flatness(ends))]
        label = f"minimiser of {words}"
        axes.plot(
            best[1], best[3], "*", ms=13, color=colour, mec=plots.INK, label=label, clip_on=False
        )
    axes.plot(START[1] ** 2, START[3] ** 2, "s", ms=5, color=plots.INK, label="start")
    axes.set(xlabel=r"$\beta_2$", ylabel=r"$\beta_4$", title="fits with β ≥ 0, and level lines")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def main() -> None:
    """Both optimizers, in recursion and limit."""
    ends, found = corners(), {}
    for name, (words, flatness) in FLATNESS.items():
        found[name] = recursion, limit = paths(name)
        best = ends[np.argmin(flatness(ends))]
        print(
            f"{name}: β = {np.round(recursion[-1], 3)}, limit {np.round(limit[-1], 3)}; "
            f"{words} is least at {np.round(best, 3)}",
            end="\n\n",
        )
        if max(np.abs(x[-1] - best).max() for x in (recursion, limit)) > 0.02:
            raise SystemExit(f"{name} does not go to the minimiser of {words}")
    print(save(picture(found, ends), "adam_and_gradient_descent"))


if __name__ == "__main__":
    main()
