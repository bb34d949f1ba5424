"""Figure 3 of arXiv 2404.12293: a non-degenerate and a degenerate evolution, α = 0.1, σ² = 0.01.

Scalar noise η ~ N(0, σ²). Top: L̂ = L + ½ a(w) η² with a = 1 − 0.7 cos 2w₁ moves on the time scale
1/(ασ²). Bottom: L̂ = L + ½|w|² η has Reg = 0 and moves on the scale 1/(α²σ²), ten times slower.
The green circles and lines mark the minimisers on Γ of Reg = ½a and of ¼ log ΔL.

The paper does not give its L; the ring L = ¼(|w|² − 1)²(2 + w₁), whose steepness varies along the
circle, is this project's choice. The definition of Reg gives ½a where the caption prints 2a.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import NoisyGradientDescent, derive_limit
from numerics import compare_with_limit, compile_limit, plots, survey

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
L = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
a = 1 - sp.Rational(7, 10) * sp.cos(2 * w1)
noisy_losses = {
    "non-degenerate": (L + a * eta**2 / 2, 4.0),
    "degenerate": (L + (w1**2 + w2**2) * eta / 2, 24.0),
}

angle = np.linspace(0, 2 * np.pi, 200)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
# By hand: a is least where w₁ = 0, and ΔL = 2(2 + w₁) on Γ where w₁ = −1.
minimisers = [np.array([0.0, 1.0]), np.array([-1.0, 0.0])]

comparisons, landscapes = {}, []
for title, (noisy_loss, time) in noisy_losses.items():
    limit = derive_limit(NoisyGradientDescent(L, noisy_loss, (w1, w2), eta))
    print(limit, end="\n\n")
    comparison = compare_with_limit(
        limit, (0.9, 0.8), alpha=0.1, sigma=0.1, time=time, paths=200, seed=0
    )
    comparisons[title] = comparison
    landscapes.append(survey(compile_limit(limit), ring))

observables = {"w1": lambda w: w[..., 0], "w2": lambda w: w[..., 1]}
print(save(plots.rows(comparisons, observables, landscapes, minimisers), "figure_3"))
