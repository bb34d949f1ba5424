"""Label noise on the diagonal linear net x·(u² − v²), two samples, four weights.

Reg is constant on Γ and Σ = H, so the limit is the flow of ΔL/4 along Γ on the scale 1/(α²σ²):
label noise looks for the flattest interpolation.
"""

from diagonal_net import model, start
from pictures import save

from derive import derive_limit
from numerics import compare_with_limit, plots

limit = derive_limit(model)
print(limit)
comparison = compare_with_limit(limit, start, alpha=0.02, sigma=0.1, time=0.3, paths=200, seed=0)

names = [str(w) for w in model.weights]
observables = {name: (lambda w, i=i: w[..., i]) for i, name in enumerate(names)}
print(save(plots.bands(comparison, observables), "label_noise_on_a_diagonal_net"))
