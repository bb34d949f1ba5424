"""Parameter noise L̂(w, η) = L(w + η) on a ring: the flow of ½ΔL along Γ, from a start off Γ.

The limit starts at the end of the noiseless descent from w₀, which is not the nearest point of Γ.
"""

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
observables = {"w1": lambda w: w[..., 0], "w2": lambda w: w[..., 1]}
figure = plots.rows({"parameter noise": comparison}, observables, [landscape])
print(save(figure, "parameter_noise_on_a_ring"))
