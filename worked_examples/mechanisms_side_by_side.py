"""Four noise mechanisms on one loss, from one start, over the same iterations.

What the paper shows (arXiv 2404.12293): the structure of the noise decides the limit and the time
scale. On the uneven ring L = ¼(|w|² − 1)²(2 + w₁), this project's choice, parameter noise and
DropConnect move on the scale 1/(ασ²), each by its own regularizer; linear scalar noise and additive
noise have none and move on 1/(α²σ²), the one without fluctuations, the other with.

What came out (printed by the run): within 20 000 iterations at α = 0.1, σ = 0.07 they move along Γ
by 1.877, 0.137 ± 0.005, 0.0836 and 0.44 ± 0.04; predicted are 1.878, 0.130, 0.0835 and 0.43.
"""

import sympy as sp
from pictures import save

from derive import NoisyGradientDescent, derive_limit, mechanisms
from numerics import compare_mechanisms

weights = w1, w2 = sp.symbols("w1 w2", real=True)
eta = sp.Symbol("eta", real=True)
square = w1**2 + w2**2
L = (square - 1) ** 2 * (2 + w1) / 4
problems = {
    "parameter noise": mechanisms.parameter_noise(L, weights),
    "DropConnect": mechanisms.dropconnect(L, weights),
    "linear scalar noise": NoisyGradientDescent(L, L + square * eta / 2, weights, eta),
    "additive noise": mechanisms.additive_noise(L, weights),
}

limits = {name: derive_limit(problem) for name, problem in problems.items()}
found = compare_mechanisms(
    limits, (1.1, 0.9), alpha=0.1, sigma=0.07, iterations=20_000, paths=200, seed=0
)
print(found)
print(save(found.plot(), "mechanisms_side_by_side"))
