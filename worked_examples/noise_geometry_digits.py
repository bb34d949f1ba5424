"""Noise energies follow curvatures in a trained network (for Wang and Wu, Figures 2b and 5).

What the paper shows: noise energies α_k follow the curvatures λ_k in trained image networks, whose
data are too large to be had here. This is the same measurement on a 4-layer tanh network of about
5 000 weights that tells even from odd handwritten digits, on the 1 797 images of 8 × 8 pixels that
scikit-learn ships (`pip install .[examples]`), under squared loss, before training and after it.

What came out (printed by the run): over seven decades of curvature the median of α_k/λ_k is 0.98 at
random weights, where μ = 0.85 and single directions range from 0.71 to 1.5; after training to a
loss of 2.4·10⁻⁴ it is 0.78, with μ = 0.68 and a range from 0.17 to 3.4: aligned, though less evenly
than the linear models of Figure 2a.

    python worked_examples/noise_geometry_digits.py

takes half a minute on one core, 0.5 GB.

References
----------
Wang, Wu, arXiv 2310.00692, Figures 2b and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save
from sklearn.datasets import load_digits

from numerics.noise_geometry import (
    PrincipalAlignments,
    loss_alignment,
    principal_alignments,
)
from numerics.plots import styled

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DeepNet:
    """tanh network with one output: matrices W_l of shape (width_l, width_{l−1}), no biases."""

    layers: tuple[Array, ...]

    @classmethod
    def random(cls, widths: Sequence[int], rng: np.random.Generator) -> DeepNet:
        """Gaussian weights of variance 1/width_{l−1}."""
        shapes = zip(widths[1:], widths[:-1], strict=True)
        return cls(tuple(rng.normal(size=s) / np.sqrt(s[1]) for s in shapes))

    def gradients(self, x: Array) -> tuple[Array, list[Array]]:
        """Values, shape (n,), and their gradients in each layer, (n, width_l, width_{l−1})."""
        states = [x]
        for w in self.layers[:-1]:
            states.append(np.tanh(states[-1] @ w.T))
        back = np.ones((len(x), 1))
        gradients = []
        for w, state in zip(reversed(self.layers), reversed(states), strict=True):
            gradients.append(back[:, :, None] * state[:, None, :])
            back = (back @ w) * (1 - state**2)
        return (states[-1] @ self.layers[-1].T)[:, 0], gradients[::-1]

    def jacobian(self, x: Array) -> tuple[Array, Array]:
        """Values, shape (n,), and their gradients as rows, shape (n, N)."""
        values, gradients = self.gradients(x)
        return values, np.hstack([g.reshape(len(x), -1) for g in gradients])

    def trained(
        self, x: Array, y: Array, rng: np.random.Generator, *, step: float, batch: int, steps: int
    ) -> DeepNet:
        """The network after SGD on the squared loss, batches drawn with replacement."""
        net = self
        for _ in range(steps):
            chosen = rng.integers(len(x), size=batch)
            values, gradients = net.gradients(x[chosen])
            r = values - y[chosen]
            net = DeepNet(
                tuple(
                    w - step * np.tensordot(r, g, axes=1) / batch
                    for w, g in zip(net.layers, gradients, strict=True)
                )
            )
        return net


@dataclass(frozen=True)
class Measurement:
    """Loss, μ and the energies along the eigenvectors of 𝒢 at one point of training."""

    loss: float
    mu: float
    directions: PrincipalAlignments


def parity_of_digits(n: int) -> tuple[Array, Array]:
    """The first n images as standardised rows of 64 pixels, and ±1 for even and odd digits."""
    images, digits = load_digits(return_X_y=True)
    x = images[:n] - images[:n].mean(axis=0)
    return x / x.std(), np.where(digits[:n] % 2 == 0, 1.0, -1.0)


def measure(net: DeepNet, x: Array, y: Array) -> Measurement:
    """Both alignments of the network on these samples."""
    values, jacobian = net.jacobian(x)
    r = values - y
    return Measurement(
        float(np.mean(r**2) / 2), loss_alignment(jacobian, r), principal_alignments(jacobian, r)
    )


def before_and_after(
    n: int, hidden: Sequence[int], steps: int, seed: int = 0
) -> tuple[Measurement, Measurement]:
    """Measure at a random network and after `steps` of SGD with batches of 32, step 0.1."""
    rng = np.random.default_rng(seed)
    x, y = parity_of_digits(n)
    net = DeepNet.random((x.shape[1], *hidden, 1), rng)
    return measure(net, x, y), measure(
        net.trained(x, y, rng, step=0.1, batch=32, steps=steps), x, y
    )


@styled
def draw(measurements: Sequence[Measurement]) -> Figure:
    """α_k and λ_k over k, before and after training."""
    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    panels = zip(figure.subplots(1, 2), ("random", "trained"), measurements, strict=True)
    for axes, name, found in panels:
        k = np.arange(1, len(found.directions.curvatures) + 1)
        axes.loglog(k, found.directions.energies, ".", markersize=3, label="noise energy α_k")
        axes.loglog(k, found.directions.curvatures, "-", label="curvature λ_k")
        low, middle, high = np.percentile(found.directions.alignments, (0, 50, 100))
        title = f"{name}: loss {found.loss:.2g}, μ = {found.mu:.2f}, median α_k/λ_k = {middle:.2f}"
        print(f"{title}, from {low:.2g} to {high:.2g}")
        axes.set_title(title)
        axes.set(xlabel="k")
        axes.legend()
    return figure


if __name__ == "__main__":
    found = before_and_after(n=1797, hidden=(48, 32, 16), steps=6000)
    print(save(draw(found), "noise_geometry_digits"))
