"""Parameter noise L̂(w, η) = L(w + η) on a ring: the flow of ½ΔL along Γ, from a start off Γ.

What the paper shows (arXiv 2404.12293, Theorem A, Example 1.2): on the scale 1/(ασ²) noisy descent
follows the constrained gradient flow of Reg = ½ΔL. Here, on a ring of this project's choice: the
limit starts at the end of the noiseless descent from w₀, which is not the nearest point of Γ. What
came out (printed by the run): the iterates, projected by Φ_α, move by 1.377, and the mean of 500
paths is nowhere further than 0.0008 from the limit at this α.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import NoisyGradientDescent, derive_limit
from numerics import compare_with_limit, compile_limit, plots, survey

w1, w2, n1, n2 = sp.symbols("w1 w2 eta1 eta2", real=True)
L = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
noisy_loss = L.xreplace({w1: w1 + n1, w2: w2 + n2})

limit = derive_limit(NoisyGradientDescent(L, noisy_loss, (w1, w2), (n1, n2)))
print(limit)
comparison = compare_with_limit(
    limit, (0.3, 1.2), alpha=0.05, sigma=0.03, time=2.0, paths=500, seed=0
)

landscape = survey(compile_limit(limit), comparison.trace.weights)
means = [paths.mean(axis=0) for paths in (comparison.projected[0], comparison.expected)]
gap = np.linalg.norm(means[0] - means[1], axis=1).max()
print(f"moved {comparison.motion:.3f}, means of recursion and limit at α apart by {gap:.4f}")
observables = {"w1": lambda w: w[..., 0], "w2": lambda w: w[..., 1]}
figure = plots.rows({"parameter noise": comparison}, observables, [landscape])
print(save(figure, "parameter_noise_on_a_ring"))
