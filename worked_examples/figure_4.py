"""Figure 4 of arXiv 2404.12293: correlation of the noise changes the regularizer and the path.

What the paper shows: under L̂ = L(w + η) with Gaussian η of covariance σ²C the evolution takes a
different path along Γ where the components of η are correlated. Left C = I, where Reg = ½ΔL; right
the fully correlated C = ½(1 1; 1 1), where Reg = ¼(∂₁ + ∂₂)²L. The paper does not give its L; the
ring, and a start from which the two laws go opposite ways, are this project's choice.

What came out (printed by the run): from the angle 21° the independent noise goes over the top to
179°, towards the minimiser of 2 + w₁ at 180°; the correlated noise goes down to −45°, a minimiser
of ½(2 + w₁)(w₁ + w₂)². Recursion (mean of 20 paths of Φ(w_k)) and limit agree to the degree.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import Gaussian, NoisyGradientDescent, derive_limit
from numerics import compare_with_limit, compile_limit, plots, survey

w1, w2, n1, n2 = sp.symbols("w1 w2 eta1 eta2", real=True)
L = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
noisy_loss = L.xreplace({w1: w1 + n1, w2: w2 + n2})
START, TIME = (1.2, 0.45), 6.0
covariances = {"$C = I$": sp.eye(2), "fully correlated": sp.ones(2, 2) / 2}

angle = np.linspace(0, 2 * np.pi, 2000)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
panels = {}
for title, covariance in covariances.items():
    limit = derive_limit(
        NoisyGradientDescent(L, noisy_loss, (w1, w2), (n1, n2), law=Gaussian(covariance))
    )
    print(limit)
    comparison = compare_with_limit(
        limit, START, alpha=0.05, sigma=0.05, time=TIME, paths=20, seed=0
    )
    compiled = compile_limit(limit)
    # Of several minimisers on Γ the one at which this path arrives is marked.
    near = np.linalg.norm(ring - comparison.expected[0, -1], axis=1) < 0.5
    minimiser = ring[near][np.argmin(compiled.regularizer(ring[near]))]
    for name, paths in (("recursion", comparison.projected[0]), ("limit", comparison.expected)):
        angles = np.degrees(np.unwrap(np.arctan2(paths[..., 1], paths[..., 0])).mean(axis=0))
        print(f"{name}: from {angles[0]:.0f}° to {angles[-1]:.0f}°", end="; ")
    print(f"minimiser of Reg at {np.degrees(np.arctan2(minimiser[1], minimiser[0])):.0f}°\n")
    panels[title] = (survey(compiled, ring), comparison, minimiser)

print(save(plots.planes(panels), "figure_4"))
