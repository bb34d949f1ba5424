"""Additive gradient noise (SGLD) on an ellipse, as a model file.

Run `python -m numerics worked_examples/ellipse.py`.
"""

import sympy as sp

from derive import NoisyGradientDescent

weights = w1, w2 = sp.symbols("w1 w2", real=True)
noise = n1, n2 = sp.symbols("eta1 eta2", real=True)
loss = (w1**2 + 4 * w2**2 - 4) ** 2 / 16

model = NoisyGradientDescent(loss, loss + n1 * w1 + n2 * w2, weights, noise)
start = (1.2, 0.8)
alpha, sigma, time, paths, seed = 0.05, 0.2, 1.0, 1000, 0
