"""Where label noise and dropout take a network of 17 000 weights, before it has been trained there.

Three networks in JAX, on images of scikit-learn's digits (`pip install .[networks,examples]`), tell
even digits from odd ones, targets ±1 under squared loss; 48 images, all other 1749 for testing.
They are trained to Γ by Levenberg–Marquardt; then noisy training moves them along it, and so does
the limit at the same step size, in a few steps of its flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from pictures import save
from sklearn.datasets import load_digits

from derive import Gaussian, derive_limit
from numerics import simulate_descent, simulate_limit
from numerics.networks import Course, Network, dropout, label_noise, train
from numerics.networks.mechanisms import Mechanism
from numerics.plots.courses import Curve, courses

IMAGES, LABELS = load_digits(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(len(IMAGES))
INPUTS, TARGETS = (IMAGES[ORDER] - 8.0) / 8.0, 1.0 - 2.0 * (LABELS[ORDER] % 2)
SAMPLES = 48
HIDDEN = (128, 64)


def dense(key: int, *shape: int) -> dict[str, np.ndarray]:
    """Weights of a layer, normal of variance 1/fan-in, and its biases."""
    fan_in = int(np.prod(shape[:-1]))
    weights = np.random.default_rng(key).normal(size=shape) / np.sqrt(fan_in)
    return {"w": weights, "b": np.zeros(shape[-1])}


def perceptron(params: Any, inputs: Any, masks: Any = 1.0) -> Any:
    """Outputs, shape (n,), of a network with two hidden layers; masks on the units of the last."""
    x = inputs
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["w"] + layer["b"])
    return ((x * masks) @ params[-1]["w"] + params[-1]["b"])[:, 0]


def convolutional(params: Any, inputs: Any) -> Any:
    """Outputs, shape (n,), of two convolutions with stride two and two dense layers."""
    x = inputs.reshape(-1, 8, 8, 1)
    for layer in params[:2]:
        x = jax.lax.conv_general_dilated(
            x, layer["w"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jnp.tanh(x + layer["b"])
    x = jnp.tanh(x.reshape(len(x), -1) @ params[2]["w"] + params[2]["b"])
    return (x @ params[3]["w"] + params[3]["b"])[:, 0]


@dataclass(frozen=True)
class Experiment:
    """A network, its noise, and how far training is followed."""

    title: str
    model: Callable[..., Any]
    params: Any
    mechanism: Mechanism
    sigma: float
    iterations: int
    followed: str
    paths: int = 6

    def run(self) -> tuple[str, list[Curve], list[Curve]]:
        """A sentence, and the curves of what is followed and of the test error."""
        limit = derive_limit(train(Network(self._residuals, self.params, self.mechanism)))
        alpha = 0.5 / limit.origin.values[-1]
        span = self.iterations / limit.iterations(1.0, alpha, self.sigma)
        began = time.process_time()
        flows = [
            simulate_limit(limit, time=span, alpha=step, record=9, test=self._test_error)
            for step in (alpha, None)
        ]
        spent = (time.process_time() - began) / 2
        began = time.process_time()
        training = simulate_descent(
            limit.problem,
            alpha=alpha,
            sigma=self.sigma,
            steps=self.iterations,
            paths=self.paths,
            seed=0,
            record=9,
            test=self._test_error,
        )
        training_spent = (time.process_time() - began) / self.paths
        measured = training.mean(self.followed)
        sentence = (
            f"{self.title}: N = {limit.problem.dimension}, αλ₁ = 0.5, σ = {self.sigma:g}, "
            f"{self.iterations} iterations; {self.followed} {measured.value[0]:.4f} → "
            f"{measured.value[-1]:.4f} ± {measured.error[-1]:.4f} in training, "
            f"{flows[0][self.followed][0, -1]:.4f} by the limit at this α, "
            f"{flows[1][self.followed][0, -1]:.4f} as α → 0; processor seconds: {spent:.0f} for a "
            f"limit, {training_spent:.0f} for a path of training"
        )
        return (
            sentence,
            self._curves(self.followed, training, flows),
            self._curves("test", training, flows),
        )

    def _residuals(self, params: Any) -> Any:
        return self.model(params, INPUTS[:SAMPLES]) - TARGETS[:SAMPLES]

    def _test_error(self, params: Any) -> Any:
        """Share of wrong signs among the other images."""
        found = self.model(params, INPUTS[SAMPLES:])
        return jnp.mean(found * TARGETS[SAMPLES:] <= 0)

    @staticmethod
    def _curves(name: str, training: Course, flows: list[Course]) -> list[Curve]:
        measured = training.mean(name)
        times = training.times
        return [
            Curve("training", times, measured.value, measured.error),
            *(
                Curve(label, times, flow[name][0])
                for label, flow in zip(("limit at this α", "limit α → 0"), flows, strict=True)
            ),
        ]


def masked(params: Any, masks: Any) -> Any:
    return perceptron(params, INPUTS[:SAMPLES], masks) - TARGETS[:SAMPLES]


MLP = [dense(1, 64, HIDDEN[0]), dense(2, *HIDDEN), dense(3, HIDDEN[1], 1)]
CONV = [
    dense(4, 3, 3, 1, 16),
    dense(5, 3, 3, 16, 32),
    dense(6, 2 * 2 * 32, 64),
    dense(7, 64, 1),
]
EXPERIMENTS = (
    Experiment("label noise", perceptron, MLP, label_noise(), 0.2, 20_000, "trace"),
    Experiment(
        "dropout of hidden units",
        perceptron,
        MLP,
        dropout(masked, np.ones(HIDDEN[1]), Gaussian()),
        0.05,
        20_000,
        "regularizer",
    ),
    Experiment(
        "label noise, convolutions", convolutional, CONV, label_noise(), 0.2, 5_000, "trace", 4
    ),
)
NAMES = {"trace": "tr H", "regularizer": "Reg"}


def picture(experiments: tuple[Experiment, ...] = EXPERIMENTS) -> Figure:
    """What is followed, and the test error, of every network."""
    panels = {}
    for experiment in experiments:
        sentence, followed, test = experiment.run()
        print(sentence, flush=True)
        panels[f"{experiment.title}: {NAMES[experiment.followed]}"] = followed
        panels[f"{experiment.title}: test error"] = test
    return courses(panels, "iterations")


if __name__ == "__main__":
    save(picture(), "network_on_digits")
