"""Which time scale rules at given (α, σ): a phase diagram, with one cut through it measured.

The paper (arXiv 2404.12293) has two scales, each in a limit; what rules at a given α and σ it
leaves open. On the uneven ring L = ¼(|w|² − 1)²(2 + w₁) skew noise of this project's choice acts
three times:

    L̂ = L + ½|w|² η + (|w|² − 1)(1 − w₁) η² + (w₁/6) η³

The linear part has Reg = 0 and drifts on the scale 1/(α²σ²) of Theorem B; its second moment points
across Γ and drifts, through the next order, on 1/(ασ⁴); its third moment drifts on 1/(ασ³). Theorem
B needs σ/α → 0 and σ²/α → 0: the borders say how small is small. The dashed line through the
measured speeds is the next-order equation, which holds all three terms.

What came out (printed by the run): the speeds at (0.6, 0.8) are 0.0769 α²σ², 0.0333 ασ³ and 0.265
ασ⁴, so that at α = 0.01 the third order overtakes the first at σ = 0.023, and the fourth all at σ =
0.13; the next-order equation is 0.3 to 1.4 % off the measured speeds up to σ = 0.11, 3 and 8 % off
at σ = 0.17 and 0.27, and by a factor of 2.4 too slow at σ = 0.7, where further orders act.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import NoisyGradientDescent, TwoPoint, derive_limit
from derive.analysis import terms
from numerics import compile_limit, plots
from numerics.validation import measure_cut, phase_diagram

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
square = w1**2 + w2**2
L = (square - 1) ** 2 * (2 + w1) / 4
noisy_loss = L + square * eta / 2 + (square - 1) * (1 - w1) * eta**2 + w1 * eta**3 / 6
point = (0.6, 0.8)

problem = NoisyGradientDescent(L, noisy_loss, (w1, w2), eta, law=TwoPoint(sp.Rational(1, 4)))
limit = derive_limit(problem)
print(limit)
acting = terms(limit, point)
for term in acting:
    print(f"{term.name}: speed {term.coefficient:.3g} α^{term.alpha_power} σ^{term.sigma_power}")

cut = measure_cut(
    limit,
    point,
    alpha=0.01,
    sigmas=np.geomspace(0.004, 0.7, 12),
    steps=1000,
    paths=20_000,
    seed=0,
)
for sigma, speed, error, line in zip(
    cut.sigmas, cut.measured.value, cut.measured.error, cut.predicted, strict=True
):
    print(f"σ = {sigma:.4f}: speed {speed:.3g} ± {error:.1g}, next order {line:.3g}")
stable = 2 / float(compile_limit(limit).spectrum(np.array(point))[-1])
diagram = phase_diagram(acting, alphas=(1e-3, 0.6), sigmas=(3e-3, 1.0))
print(save(plots.phase_diagram(diagram, stable, cut), "phase_diagram"))
