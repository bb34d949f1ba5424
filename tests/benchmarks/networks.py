"""Print speed, memory and agreement of network limits: `python -m tests.benchmarks.networks`.

For Linux; needs JAX. Each memory is that of a program of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from derive import derive_limit
from numerics import compile_limit, simulate_descent, simulate_limit
from numerics.networks import Network, label_noise, train
from numerics.networks.limit import NetworkLimit, Weights
from numerics.networks.manifold import geometry
from tests.truth import catalogue
from tests.truth.networks import RESIDUALS, network_of

MEGABYTE = 2.0**20

NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {
    "tanh, three hidden layers": ((64, 120, 70, 40), 32),
    "tanh, two hidden layers": ((100, 150, 30), 32),
    "tanh, five hidden layers": ((24, 70, 70, 70, 70, 40), 24),
}
"""Widths from the inputs on (the output is one number), and samples; at least 1.9·10⁴ weights."""


def tanh_network(widths: Sequence[int], samples: int, seed: int = 0, **fields: Any) -> Network:
    """A fully connected network on random data."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.normal(size=(samples, widths[0])), rng.normal(size=samples)
    params = [
        {"w": rng.normal(size=(a, b)) / np.sqrt(a), "b": np.zeros(b)}
        for a, b in zip(widths, [*widths[1:], 1], strict=True)
    ]

    def residuals(layers: Any) -> Any:
        x = inputs
        for layer in layers[:-1]:
            x = jnp.tanh(x @ layer["w"] + layer["b"])
        return (x @ layers[-1]["w"] + layers[-1]["b"])[:, 0] - targets

    return Network(residuals, params, label_noise(), **fields)


def drift_cost(widths: Sequence[int], samples: int, store: bool) -> None:
    """Print weights, processor seconds of one drift at a step, and MB that it took at most."""
    network = tanh_network(widths, samples, memory=2**40 if store else 0)
    w = network.start
    network.residual(w)
    before, here = peak_memory(), geometry(network, w)
    limit = NetworkLimit(
        network,
        here,
        None,
        None,
        Weights(ito=0.5, step=0.5 / here.values[-1]),  # type: ignore[arg-type]
    )
    del here
    limit.velocity(geometry(network, w, keep=True))
    first = peak_memory() - before
    began = time.process_time()
    limit.velocity(geometry(network, w, keep=True))
    print(network.dimension, time.process_time() - began, first)


def peak_memory() -> float:
    """MB that this program has used at most."""
    peak = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(peak.split()[1]) / 1024


def cost_table() -> None:
    """Drift evaluations of a million weights, stored and in blocks."""
    print("one evaluation of the drift under label noise, at a fixed step")
    print(f"{'weights':>10}{'samples':>9}{'J':>12}{'seconds':>10}{'MB':>8}{'MB / MB of J':>14}")
    for widths, samples in (((64, 120, 70, 40), 32), ((64, 800, 800, 380), 64)):
        for store in (True, False):
            arguments = ["--drift", *map(str, widths), "--samples", str(samples)]
            weights, seconds, memory = in_new_process(*arguments, *["--store"] * store)
            jacobian = weights * samples * 8 / MEGABYTE
            print(
                f"{weights:10.0f}{samples:9}{'stored' if store else 'in blocks':>12}{seconds:10.3f}"
                f"{memory:8.0f}{memory / jacobian:14.2f}",
                flush=True,
            )


def in_new_process(*arguments: str) -> list[float]:
    """Numbers that another run of this program prints."""
    command = [sys.executable, "-m", "tests.benchmarks.networks", *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(x) for x in printed.split()]


def agreement() -> None:
    """Largest difference from the symbolic engine over the catalogue, relative to |H|."""
    worst, name = 0.0, ""
    entries = [entry for entry in catalogue.CATALOGUE if entry.name in RESIDUALS]
    for entry in entries:
        symbolic = derive_limit(entry.problem)
        for step in (None, entry.alpha):
            compiled = compile_limit(symbolic if step is None else symbolic.at_step(step))
            w = compiled.retract(np.array([entry.guesses[0]]))[0]
            limit = derive_limit(network_of(entry, w))
            found = (limit if step is None else limit.at_step(step)).drift(w)
            expected = compiled.projector(w[None])[0] @ compiled.drift(w[None])[0]
            size = 1.0 + np.linalg.norm(compiled.spectrum(w[None]))
            if (gap := float(np.abs(found - expected).max() / size)) > worst:
                worst, name = gap, entry.name
    print(
        f"\n{len(entries)} models of the catalogue: drifts differ by at most {worst:.1e} ({name})"
    )


def training_table(iterations: int, paths: int, sigma: float = 0.1) -> None:
    """Label noise at αλ₁ = 0.5: reg = (1/n) Σ |∇h_i|² in training and by the limits."""
    print(
        f"\nlabel noise, αλ₁ = 0.5, σ = {sigma:g}, {iterations} iterations, {paths} paths: reg\n"
        f"{'network':30}{'weights':>9}{'from':>9}{'training':>10}{'±':>8}{'at step':>10}"
        f"{'α → 0':>10}{'errors':>8}{'off by':>9}{'seconds: training':>19}{'limit':>7}"
    )
    for name, (widths, samples) in NETWORKS.items():
        limit = derive_limit(train(tanh_network(widths, samples)))
        alpha = 0.5 / limit.origin.values[-1]
        span = iterations * alpha**2 * sigma**2
        ways: dict[str, Any] = {"time": span, "record": 2}
        began = time.process_time()
        stepped = simulate_limit(limit, alpha=alpha, **ways)["trace"][0] / 2
        flow = time.process_time() - began
        asymptotic = simulate_limit(limit, **ways)["trace"][0] / 2
        began = time.process_time()
        run = simulate_descent(
            limit.problem,
            alpha=alpha,
            sigma=sigma,
            steps=iterations,
            paths=paths,
            seed=1,
            record=2,
        )
        spent = time.process_time() - began
        reg = run.mean("trace")[-1].scaled(0.5)
        value, error = float(reg.value), float(reg.error)
        print(
            f"{name:30}{limit.problem.dimension:9}{stepped[0]:9.3f}{value:10.4f}{error:8.4f}"
            f"{stepped[-1]:10.4f}{asymptotic[-1]:10.4f}{abs(value - stepped[-1]) / error:8.1f}"
            f"{abs(asymptotic[-1] / value - 1):9.2%}{spent:19.1f}{flow:7.1f}",
            flush=True,
        )


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=20_000, help="of each training")
    parser.add_argument("--paths", type=int, default=4, help="of each training")
    parser.add_argument("--drift", type=int, nargs="+", metavar="WIDTH", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--store", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drift:
        drift_cost(arguments.drift, arguments.samples, arguments.store)
        return
    cost_table()
    agreement()
    training_table(arguments.iterations, arguments.paths)


if __name__ == "__main__":
    main()
