"""Print speed, memory and agreement of network limits: `python -m tests.benchmarks.networks`.

For Linux; needs JAX. Each memory is that of a program of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from derive import derive_limit
from numerics import simulate_descent, simulate_limit
from numerics.networks import Network, label_noise, train
from numerics.networks.limit import NetworkLimit, Weights
from numerics.networks.normal_space.manifold import geometry
from tests.truth import catalogue
from tests.truth.networks import RESIDUALS, Exact, network_of, place

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


WAYS = ("stored", "in blocks", "16 probes")
"""How J is kept: whole, made in blocks of rows each time, or not at all."""
SIZES = (
    ((64, 120, 70, 40), 32, WAYS),
    ((64, 800, 800, 380), 64, WAYS),
    ((64, 120, 70, 40), 4096, WAYS[2:]),
)
"""Widths, samples, and the ways in which the drift is evaluated."""


def drift_cost(widths: Sequence[int], samples: int, way: str) -> None:
    """Print weights, processor seconds of one drift, and MB that it takes at most, warm."""
    fields = {"stored": {"memory": 2**40}, "in blocks": {"memory": 0}}.get(way, {"probes": 16})
    network = tanh_network(widths, samples, **fields)
    w = network.start
    largest = geometry(network, w).values[-1]
    equation = Weights(ito=0.5, step=0.5 / largest)
    limit = NetworkLimit(network, None, None, None, equation)  # type: ignore[arg-type]
    for _ in range(2):
        before, began = watched_memory(), time.process_time()
        limit.velocity(geometry(network, w, keep=True))
        spent = time.process_time() - began
    print(network.dimension, spent, status("VmHWM") - before)


def watched_memory() -> float:
    """MB that this program uses; what it uses at most is counted from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(name: str) -> float:
    """MB of this program, as the kernel counts them."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if name in x)
    return int(line.split()[1]) / 1024


def cost_table() -> None:
    """Drift evaluations of up to a million weights, and of thousands of samples."""
    print("one evaluation of the drift under label noise, at a fixed step, compiled before")
    print(f"{'weights':>10}{'samples':>9}{'J':>12}{'seconds':>10}{'MB':>8}{'MB / MB of J':>14}")
    for widths, samples, ways in SIZES:
        for way in ways:
            weights, seconds, memory = in_new_process(
                "--drift", *map(str, widths), "--samples", str(samples), "--way", way
            )
            jacobian = weights * samples * 8 / MEGABYTE
            print(
                f"{weights:10.0f}{samples:9}{way:>12}{seconds:10.3f}"
                f"{memory:8.0f}{memory / jacobian:14.2f}",
                flush=True,
            )


def in_new_process(*arguments: str) -> list[float]:
    """Numbers that another run of this program prints.

    Memory is given back as soon as it is free, so that what one evaluation takes can be seen.
    """
    command = [sys.executable, "-m", "tests.benchmarks.networks", *arguments]
    ways = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=ways).stdout
    return [float(x) for x in printed.split()]


def agreement() -> None:
    """Largest difference from the symbolic engine over the catalogue, relative to |H|."""
    worst, name = 0.0, ""
    entries = [entry for entry in catalogue.CATALOGUE if entry.name in RESIDUALS]
    for entry in entries:
        symbolic = derive_limit(entry.problem)
        point, *_ = Exact(symbolic).points(1)
        w = place(point)
        limit = derive_limit(network_of(entry, w))
        pairs = ((limit, symbolic), (limit.at_step(entry.alpha), symbolic.at_step(entry.alpha)))
        for found, expected in pairs:
            size = 1.0 + limit.trace(w)
            gap = float(np.abs(found.drift(w) - Exact(expected).drift(point)).max() / size)
            if gap > worst:
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
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drift:
        drift_cost(arguments.drift, arguments.samples, arguments.way)
        return
    cost_table()
    agreement()
    training_table(arguments.iterations, arguments.paths)


if __name__ == "__main__":
    main()
