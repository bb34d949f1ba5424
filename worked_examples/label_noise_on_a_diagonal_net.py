"""Label noise on the diagonal linear net x·(u² − v²), two samples, four weights.

What the papers show (arXiv 2404.12293, Example 1.8; Blanc et al., COLT 2020, Theorem 1): Reg is
constant on Γ and Σ = H, so the limit is the flow of ΔL/4 along Γ on the scale 1/(α²σ²): label noise
looks for the flattest interpolation. Samples and start are this project's. What came out (printed
by the run): the weights move by 0.932 along Γ, and the mean of 200 paths of Φ_α(w_k) is nowhere
further than 0.0004 from the limit at this α.
"""

import numpy as np
from diagonal_net import model, start
from pictures import save

from derive import derive_limit
from numerics import compare_with_limit, plots

limit = derive_limit(model)
print(limit)
comparison = compare_with_limit(limit, start, alpha=0.02, sigma=0.1, time=0.3, paths=200, seed=0)

means = [paths.mean(axis=0) for paths in (comparison.projected[0], comparison.expected)]
gap = np.linalg.norm(means[0] - means[1], axis=1).max()
print(f"moved {comparison.motion:.3f}, means of recursion and limit at α apart by {gap:.4f}")
names = [str(w) for w in model.weights]
observables = {name: (lambda w, i=i: w[..., i]) for i, name in enumerate(names)}
print(save(plots.bands(comparison, observables), "label_noise_on_a_diagonal_net"))
