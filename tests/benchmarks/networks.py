"""Print speed, memory and agreement of network limits, each beside what is aimed at.

    python -m tests.benchmarks.networks
    python -m tests.benchmarks.networks drift agreement training verdict

The parts, of which all are run if none is named, are: the cost of a drift in processor time and
memory; agreement with the symbolic engine; training under label noise against the limit at its
step; and whether `validate` rejects a limit that is 5 % too fast. For Linux; needs JAX.

Memory is the most that one evaluation adds to what the program held before it, both as the kernel
counts resident pages (VmHWM reset by /proc/self/clear_refs, and VmRSS), in a program of its own,
after evaluations that have compiled everything; the largest of three.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from derive import derive_limit
from numerics import simulate_descent, simulate_limit, validate
from numerics.networks import Network, label_noise, train
from numerics.networks.limit import NetworkLimit, Weights
from numerics.networks.normal_space.manifold import geometry
from tests.truth import catalogue
from tests.truth.networks import RESIDUALS, Exact, network_of, place

MEGABYTE = 2.0**20

GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Memory is given back as soon as it is free, so that what one evaluation takes can be seen.

It is fetched anew each time, which takes as long as all else: seconds are those of another run.
"""

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
EVALUATIONS = 3
"""Evaluations that are measured, after one that compiles."""
AIMS = {19151: 0.1, 997561: 10.0}
"""Seconds that a drift may take, by weights."""
MEMORY_AIM = 1.5
AGREEMENT_AIM = 1e-10
ERRORS_AIM, ACCURACY_AIM = 3.0, 1e-3
FACTOR = 1.05
"""How much faster the limit is that has to be rejected."""


def drift_cost(widths: Sequence[int], samples: int, way: str) -> None:
    """Print weights, processor seconds of one drift, and MB that it takes at most, warm."""
    fields = {"stored": {"memory": 2**40}, "in blocks": {"memory": 0}}.get(way, {"probes": 16})
    network = tanh_network(widths, samples, **fields)
    w = network.start
    largest = geometry(network, w).values[-1]
    equation = Weights(ito=0.5, step=0.5 / largest)
    limit = NetworkLimit(network, None, None, None, equation)  # type: ignore[arg-type]
    found = []
    for _ in range(EVALUATIONS + 1):
        before, began = watched_memory(), time.process_time()
        limit.velocity(geometry(network, w, keep=True))
        found.append((time.process_time() - began, status("VmHWM") - before))
    seconds, memory = zip(*found[1:], strict=True)
    print(network.dimension, min(seconds), max(memory))


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
    print(
        "one evaluation of the drift under label noise, at a fixed step, compiled before; "
        f"seconds of the processor (aims: {AIMS[19151]:g} and {AIMS[997561]:g} where J is stored), "
        f"memory (aim: {MEMORY_AIM:g} of J)"
    )
    print(f"{'weights':>10}{'samples':>9}{'J':>12}{'seconds':>10}{'MB':>8}{'MB / MB of J':>14}")
    for widths, samples, ways in SIZES:
        for way in ways:
            run = ("--drift", *map(str, widths), "--samples", str(samples), "--way", way)
            weights, seconds, _ = in_new_process(*run)
            memory = in_new_process(*run, settings=GIVEN_BACK)[-1]
            jacobian = weights * samples * 8 / MEGABYTE
            print(
                f"{weights:10.0f}{samples:9}{way:>12}{seconds:10.3f}"
                f"{memory:8.1f}{memory / jacobian:14.2f}   "
                + met(memory / jacobian <= MEMORY_AIM)
                + ("" if way != WAYS[0] else ", " + met(seconds <= AIMS[int(weights)])),
                flush=True,
            )


def met(reached: bool) -> str:
    """What is said of an aim."""
    return "met" if reached else "NOT MET"


def in_new_process(*arguments: str, settings: Mapping[str, str] | None = None) -> list[float]:
    """Numbers that another run of this program prints.

    n × n linear algebra has one thread: two wait for one another in a loop where others work too.
    """
    command = [sys.executable, "-m", "tests.benchmarks.networks", *arguments]
    ways = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | dict(settings or {})
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
        f"\n{len(entries)} models of the catalogue: drifts differ by at most {worst:.1e} ({name}), "
        f"aim {AGREEMENT_AIM:g}: {met(worst <= AGREEMENT_AIM)}"
    )


def training_table(iterations: int, paths: int, sigma: float = 0.1) -> None:
    """Label noise at αλ₁ = 0.5: reg = (1/n) Σ |∇h_i|² in training and by the limits."""
    print(
        f"\nlabel noise, αλ₁ = 0.5, σ = {sigma:g}, {iterations} iterations, {paths} paths: reg, "
        f"aim {ERRORS_AIM:g} standard errors or {ACCURACY_AIM:.1%}\n"
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
            f"{abs(asymptotic[-1] / value - 1):9.2%}{spent:19.1f}{flow:7.1f}   "
            + met(close(value, error, stepped[-1])),
            flush=True,
        )


def close(value: float, error: float, predicted: float) -> bool:
    """Whether a prediction is within the errors aimed at, by an error that tells it from others."""
    gap = abs(predicted - value)
    return gap <= min(ERRORS_AIM * error, ACCURACY_AIM * value) and error < ACCURACY_AIM * value


def verdict(iterations: int, paths: int = 8, sigma: float = 0.1) -> None:
    """Whether `validate` passes the limit of a network and rejects one that is 5 % too fast."""
    name = "tanh, two hidden layers"
    widths, samples = NETWORKS[name]
    limit = derive_limit(train(tanh_network(widths, samples)))
    alpha = 0.5 / limit.origin.values[-1]
    report = validate(
        limit,
        alpha=alpha,
        sigma=sigma,
        time=iterations * alpha**2 * sigma**2,
        paths=paths,
        seed=1,
    )
    faster = replace(limit.equation, ito=FACTOR * limit.equation.ito)
    wrong = report.against(replace(limit, equation=faster))
    print(
        f"\n{name}, {limit.problem.dimension} weights, {paths} paths: the limit "
        f"{'passes' if report.passed else 'is rejected'}, {FACTOR:g} times as fast it "
        f"{'passes' if wrong.passed else 'is rejected'}: {met(report.passed > wrong.passed)}\n"
        f"{report}\n{wrong}"
    )


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all if none is named")
    parser.add_argument("--iterations", type=int, default=20_000, help="of each training")
    parser.add_argument("--paths", type=int, default=4, help="of each training")
    parser.add_argument("--drift", type=int, nargs="+", metavar="WIDTH", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drift:
        drift_cost(arguments.drift, arguments.samples, arguments.way)
        return
    for name in arguments.parts or PARTS:
        PARTS[name](arguments)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "drift": lambda _: cost_table(),
    "agreement": lambda _: agreement(),
    "training": lambda given: training_table(given.iterations, given.paths),
    "verdict": lambda given: verdict(given.iterations),
}
"""What may be printed by itself."""


if __name__ == "__main__":
    main()
