"""Minibatches alone leave an interpolating model at rest: additional noise is required.

What the paper shows (arXiv 2404.12293, abstract and Example 1.7): where every sample is fitted, all
gradients of a minibatch vanish, and nothing moves along Γ on any time scale; dropout, label noise
or Langevin noise beside the minibatch make the weights move, each on its own time scale.

What is done here: h(x) = Σ_k u_k v_k x_k in R³ on two samples, batches of one, alone and beside
dropout of the units u_k v_k x_k, label noise, and Langevin noise. `derive` names the outcome and
the time scale of each; the picture shows how far the recursion has moved along Γ after k iterations
(root mean square over 200 runs of |Φ_α(w_k) − w_0|, w_0 a point of Γ) beside the limit α → 0,
dashed. Model, data and start are this project's choice.

What came out (printed by the run): alone they are frozen, and moved by nothing at all in 30 000
iterations. Dropout is non-degenerate on 1/(ασ²), 1.23 moved against 1.16 in the limit; label noise
deterministic on 1/(α²σ²), 0.756 against 0.739; Langevin noise diffusive on 1/(α²σ²), 1.63 against
1.59. The two flows start with slope one, the diffusion with slope ½. Label noise begins 20 % faster
than its limit, by the αλ/2 that α → 0 leaves out; dropout goes on after its flow has ended, on the
slower scale, along the weights for which Reg is smallest.

    python worked_examples/additional_noise_is_required.py

takes half a minute on one core, two where nothing is compiled yet, 0.4 GB.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, Outcome, derive_limit, mechanisms
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from numerics import compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]

STEP, NOISE, ITERATIONS, PATHS = 0.05, 0.1, 30_000, 200
START = np.array([1.3, 0.7, 1.0, 0.92, -0.3, 1.2])


def limits() -> dict[str, Limit]:
    """The limits of batches of one of two samples, alone and beside other noise."""
    u, v, x = (sp.symbols(f"{letter}1:4", real=True) for letter in "uvx")
    units = [a * b * c for a, b, c in zip(u, v, x, strict=True)]
    data, weights = (sp.Add(*units), x, [(1, 1, 0), (0, 1, 1)], [1, 1]), (*u, *v)
    alone = mechanisms.minibatch(*data, weights, batch_size=1, near=START)
    models = {
        "minibatches alone": alone,
        "and dropout": mechanisms.combine(alone, mechanisms.dropout(*data, weights, units=units)),
        "and label noise": mechanisms.minibatch_label_noise(
            *data, weights, batch_size=1, near=START
        ),
        "and Langevin noise": mechanisms.combine(
            alone, mechanisms.additive_noise(alone.loss, weights)
        ),
    }
    return {name: derive_limit(model) for name, model in models.items()}


def distance(points: Array, start: Array) -> Array:
    """Root mean square distance from the start, shape (T,)."""
    return np.asarray(np.sqrt(np.mean(np.sum((points - start) ** 2, axis=2), axis=0)))


def measured(limit: Limit) -> tuple[Array, Array]:
    """Iterations, and how far the recursion has moved along Γ."""
    compiled = compile_limit(limit)
    start = compiled.retract(START)
    run = simulate_descent(
        limit.problem,
        start,
        alpha=STEP,
        sigma=NOISE,
        steps=ITERATIONS,
        paths=PATHS,
        seed=0,
        record=np.geomspace(100, ITERATIONS, 40),
    )
    return run.times, distance(compiled.descent_limit(run.weights, STEP), start)


def predicted(limit: Limit, iterations: Array) -> Array:
    """How far the limit has moved by then."""
    if limit.time_scale is None:
        return np.zeros_like(iterations)
    compiled = compile_limit(limit)
    start = compiled.retract(START)
    times = iterations / float(limit.time_scale.subs({ALPHA: STEP, SIGMA: NOISE}))
    paths = PATHS if limit.outcome is Outcome.DIFFUSIVE else 1
    path = simulate_limit(compiled, start, time=times[-1], paths=paths, seed=1, record=times)
    return distance(path.weights, start)


@styled
def draw(moved: dict[str, tuple[Array, Array, Array]]) -> Figure:
    """Distance along Γ against iterations; what stays below round-off is drawn at the bottom."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    panel = figure.subplots()
    floor = 1e-4
    for k, (name, (iterations, recursion, limit)) in enumerate(moved.items()):
        panel.loglog(iterations, np.maximum(recursion, floor), color=f"C{k}", label=name)
        if limit.any():
            panel.loglog(iterations, limit, "--", color=f"C{k}")
    panel.set(xlabel="iterations k", ylabel="distance moved along Γ", ylim=(0.8 * floor, 3))
    panel.annotate("0 to round-off", (150, 1.1 * floor), color="C0")
    panel.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    moved = {}
    for name, limit in limits().items():
        iterations, recursion = measured(limit)
        expected = predicted(limit, iterations)
        moved[name] = iterations, recursion, expected
        print(f"{name}: {limit.outcome.value}, time scale {limit.time_scale}")
        print(
            f"  moved {recursion[-1]:.3g} in {ITERATIONS} iterations, the limit {expected[-1]:.3g}"
        )
    print(save(draw(moved), "additional_noise_is_required"))
