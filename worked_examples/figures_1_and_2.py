"""Figures 1 and 2 of arXiv 2404.12293: the noise L̂ = L(w + η) keeps moving along Γ.

What the paper shows: gradient descent stops at Γ; with noise it goes on, slowly, along the
constrained gradient flow of Theorem A, to the minimiser of ΔL on Γ.

What is done here. Top: level curves of L with Γ, gradient descent, noisy gradient descent. Bottom:
noisy gradient descent again with its limits, and its vertical coordinate over short and long times.
The green circle and lines mark the minimiser of ΔL on Γ; the dotted black curves are the
constrained gradient flow of the theorem, the dashed orange ones the limit at the step size of the
run, with its noise. Both start at Φ(w₀), the end of the gradient flow from the start of the run,
where the paper's start at the first iterate close to Γ. The paper does not give its L; the
parabolic valley below, flattest at its vertex, is this project's choice.

What came out (printed by the run): the vertical coordinate of Φ(w_k), a mean of 20 paths, falls
from 1.108 to 0.577, 0.229 and 0.031 in 2041, 4082 and 8163 iterations. The limit at α = 0.1 has
0.576, 0.227 and 0.028 there; the flow of the theorem, α → 0, has 0.627, 0.271 and 0.038.
"""

import numpy as np
import sympy as sp
from pictures import save

from derive import NoisyGradientDescent, derive_limit
from numerics import compare_with_limit, compile_limit, plots, simulate_descent, survey

w1, w2, n1, n2 = sp.symbols("w1 w2 eta1 eta2", real=True)
L = (w1 - w2**2 / 2) ** 2 / 2
noisy_loss = L.xreplace({w1: w1 + n1, w2: w2 + n2})
start = (0.2, 1.7)

limit = derive_limit(NoisyGradientDescent(L, noisy_loss, (w1, w2), (n1, n2)))
print(limit)
comparison = compare_with_limit(limit, start, alpha=0.1, sigma=0.07, time=4.0, paths=20, seed=1)
descent = simulate_descent(
    limit.problem, start, alpha=0.1, sigma=0.0, steps=1000, paths=1, seed=0, record=np.arange(1001)
)

compiled = compile_limit(limit)
height = np.linspace(-1, 2, 301)
valley = np.stack([height**2 / 2, height], axis=1)
minimiser = valley[np.argmin(compiled.regularizer(valley))]
surroundings = np.array([(-1.0, -0.2), (1.6, 2.0)])
print("vertical coordinate, mean over the paths, minimiser at", minimiser)
means = (comparison.projected[0], comparison.expected, comparison.asymptotic)
heights = [paths[..., 1].mean(axis=0) for paths in means]
for k in (0, 10, 20, 40):
    print(f"iteration {comparison.iterations[k]:.0f}:", end=" ")
    print("Φ(w_k) {:.3f}, limit at α {:.3f}, α → 0 {:.3f}".format(*(h[k] for h in heights)))
landscape = survey(compiled, np.vstack([comparison.trace.weights[0], surroundings]), margin=0.1)
figure = plots.motion_along(landscape, descent, comparison, minimiser, "w2")
print(save(figure, "figures_1_and_2"))
