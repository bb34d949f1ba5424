"""Figure 4 of arXiv 2404.12293: correlation of the noise changes the regularizer and the path.

L̂ = L(w + η) with Gaussian η of covariance σ²C: left C = I, where Reg = ½ΔL; right the fully
correlated C = ½(1 1; 1 1), where Reg = ¼(∂₁ + ∂₂)²L. The ring is this project's choice of L.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import Gaussian, NoisyGradientDescent, derive_limit
from numerics import compare_with_limit, compile_limit, plots, survey

w1, w2, n1, n2 = sp.symbols("w1 w2 eta1 eta2", real=True)
L = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
noisy_loss = L.xreplace({w1: w1 + n1, w2: w2 + n2})
covariances = {"$C = I$": sp.eye(2), "fully correlated": sp.ones(2, 2) / 2}

angle = np.linspace(0, 2 * np.pi, 2000)
ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
panels = {}
for title, covariance in covariances.items():
    limit = derive_limit(
        NoisyGradientDescent(L, noisy_loss, (w1, w2), (n1, n2), law=Gaussian(covariance))
    )
    print(limit, end="\n\n")
    comparison = compare_with_limit(
        limit, (1.1, 0.9), alpha=0.05, sigma=0.05, time=4.0, paths=20, seed=0
    )
    compiled = compile_limit(limit)
    # Of several minimisers on Γ the one at which this path arrives is marked.
    near = np.linalg.norm(ring - comparison.expected[0, -1], axis=1) < 0.5
    minimiser = ring[near][np.argmin(compiled.regularizer(ring[near]))]
    panels[title] = (survey(compiled, ring), comparison, minimiser)

print(save(plots.planes(panels), "figure_4"))
