"""Additive gradient noise on an ellipse: Brownian motion on Γ, drifting to where Γ is flat across.

Here the limit is a stochastic equation, and paths agree in law only: the bands are compared.
"""

from ellipse import model
from pictures import save

from derive import derive_limit
from numerics import compare_with_limit, plots

limit = derive_limit(model)
print(limit)
comparison = compare_with_limit(
    limit, (1.2, 0.8), alpha=0.02, sigma=0.3, time=2.0, paths=2000, seed=0
)

observables = {"w1": lambda w: w[..., 0], "w2": lambda w: w[..., 1]}
print(save(plots.bands(comparison, observables), "additive_noise_on_an_ellipse"))
