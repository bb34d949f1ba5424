"""Label noise on a diagonal linear net x·(u² − v²) with two samples, as a model file.

Run `python -m numerics worked_examples/diagonal_net.py`.
"""

import sympy as sp

from derive import NoisyGradientDescent

u1, u2, v1, v2 = weights = sp.symbols("u1 u2 v1 v2", real=True)
noise = sp.symbols("eta1 eta2", real=True)
samples = [((1, 2), 1), ((2, -1), 3)]

misfits = [x[0] * (u1**2 - v1**2) + x[1] * (u2**2 - v2**2) - y for x, y in samples]
loss = sum(r**2 for r in misfits) / 2
noisy_loss = sum((r - eta) ** 2 for r, eta in zip(misfits, noise, strict=True)) / 2

model = NoisyGradientDescent(loss, noisy_loss, weights, noise)
start = (1.3, 0.7, 0.5, 0.8)
alpha, sigma, time, paths, seed = 0.02, 0.1, 0.1, 300, 0
