"""Sharpness-aware minimisation at steps that are not small: how fast it lowers the sharpness λ₁.

Wen, Ma and Li (arXiv 2211.05729) show that w' = w − α∇L(w + ρ∇L/|∇L|) moves along the minimisers by
−½αρ²P∇λ₁ per step as α → 0. At a fixed step it ends in a cycle of two across Γ, which takes the
gradient at the distance 2ρ/(2 − αλ₁), and the speed has the factor (2/(2 − αλ₁))². The example runs
the recursion on three curved valleys, with Γ of codimension one, two and three (this project's
choice), and prints how far the two laws are from it:

    codimension   αλ₁    published   at the step
    1, 2, 3      0.10      9.75 %      0.00 %
    1, 2, 3      0.50     43.75 %      0.00 %
    1, 2, 3      1.00     75.00 %      0.00 %
    1, 2, 3      1.50     93.75 %      0.00 %

Run `python worked_examples/sharpness_aware_at_a_step.py`; some minutes.
"""

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from pictures import save

from derive import NoisyGradientDescent, derive_limit
from derive.optimizers import NormalizedSharpnessAware
from numerics import compile_limit, simulate_descent

weights = w1, w2, w3, w4, w5 = sp.symbols("w1:6", real=True)
residuals = (
    w1**2 + w2**2 - 1 + w3 * w4 / 5,
    w3 - w1 * w4 / 2 - w2**2 / 3,
    w5 - w1 * w2 / 3,
)
curvatures = (1 + w1 / 2, (1 + w4**2 / 4) / 2, sp.Rational(1, 3))
DISTANCE, STEPS = 2e-4, 400
STIFFNESSES = (0.1, 0.5, 1.0, 1.5)


def valley(codimension: int) -> NoisyGradientDescent:
    """L = ½ Σ c_i r_i², whose Γ is curved, with curvatures that vary along it."""
    kept = weights[: codimension + 2] if codimension > 1 else (w1, w2)
    rows = [r.subs(w3, 0) if codimension == 1 else r for r in residuals[:codimension]]
    loss = sum(c * r**2 for c, r in zip(curvatures, rows, strict=False)) / 2
    return NoisyGradientDescent(loss, loss, kept, (), optimizer=NormalizedSharpnessAware())


def compare(codimension: int) -> list[tuple[float, float, float, float]]:
    """αλ₁, then measured speed, and errors of the two laws."""
    problem = valley(codimension)
    limit = derive_limit(problem)
    published = compile_limit(limit)
    start = published.retract([0.6, 0.8, 0.3, 0.3, 0.3][: len(problem.weights)])
    sharpness = published.spectrum(start)[-1]
    found = []
    for stiffness in STIFFNESSES:
        alpha = stiffness / sharpness
        kick = 0.3 * DISTANCE * np.linspace(0.5, 1, len(start))
        run = simulate_descent(
            problem,
            start + kick,
            alpha=alpha,
            sigma=DISTANCE,
            steps=600 + STEPS,
            paths=1,
            seed=0,
            record=[600, 600 + STEPS],
        )
        begin, end = published.retract(run.weights[0])
        moved = (end - begin) / (STEPS * alpha * DISTANCE**2)
        middle = published.retract((begin + end) / 2)
        at_step = compile_limit(limit.at_step(alpha))
        laws = [law.drift(middle) for law in (published, at_step)]
        errors = [np.linalg.norm(law - moved) / np.linalg.norm(moved) for law in laws]
        found.append((stiffness, np.linalg.norm(moved) / np.linalg.norm(laws[0]), *errors))
    return found


def main() -> None:
    """Print the errors, and draw the speeds."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    line = np.linspace(0, 1.6, 200)
    axes.plot(line, (2 / (2 - line)) ** 2, color="#D55E00", label=r"$(2/(2-\alpha\lambda_1))^2$")
    axes.axhline(1, color="#1b1b1f", ls="--", label=r"published, $\alpha\to 0$")
    print("codimension   αλ₁    published   at the step")
    for codimension, marker in ((1, "o"), (2, "s"), (3, "^")):
        rows = compare(codimension)
        for stiffness, _, first, second in rows:
            print(f"{codimension}            {stiffness:.2f}   {first:8.2%}   {second:8.2%}")
        label = f"recursion, codimension {codimension}"
        axes.plot(*np.array(rows)[:, :2].T, marker, ms=6, mfc="none", color="#0072B2", label=label)
    axes.set(
        xlabel=r"$\alpha\lambda_1$", ylabel="speed, in units of the published one", yscale="log"
    )
    axes.legend(frameon=False)
    print(f"picture in {save(figure, 'sharpness_aware_at_a_step')}")


if __name__ == "__main__":
    main()
