"""Print speeds as ratios from one interleaved run: `python -m tests.benchmarks`.

For Linux, with the C compiler `gcc`; JAX and diffrax are shown where they are installed.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from derive import derive_limit
from numerics import compile_descent, compile_limit, simulate_descent, simulate_limit
from tests.benchmarks.models import (
    EQUATIONS,
    MODELS,
    RULES,
    Equation,
    Model,
    Rule,
    random_diagonal_net,
    tanh_net,
    with_additive_noise,
)
from tests.benchmarks.peers import (
    Runner,
    c_kernel,
    diffrax_euler,
    jax_scan,
    numpy_by_hand,
    recursion_of,
)

PATHS = 1024


def ours(model: Model | Rule, threads: int) -> Runner:
    """`simulate_descent`, with the first and the last time recorded."""
    compiled = compile_descent(model.problem())

    def run(paths: int, steps: int) -> object:
        return simulate_descent(
            compiled,
            model.start,
            alpha=model.alpha,
            sigma=model.sigma,
            steps=steps,
            paths=paths,
            seed=1,
            record=2,
            threads=threads,
        )

    return run


def our_limit(equation: Equation, threads: int) -> Runner:
    """`simulate_limit`, with the first and the last time recorded."""
    limit = equation.limit()
    compiled = compile_limit(limit)
    start = np.zeros(limit.problem.dimension)
    start[: len(equation.start)] = equation.start

    def run(paths: int, steps: int) -> object:
        return simulate_limit(
            compiled,
            start,
            time=steps * equation.span,
            step=equation.span,
            paths=paths,
            seed=1,
            record=2,
            threads=threads,
        )

    return run


@dataclass(frozen=True)
class Speed:
    """Nanoseconds per path-step: of the thread's own processor time, and by the clock."""

    processor: float
    clock: float


def interleaved(runners: Mapping[str, Runner], seconds: float, repeats: int) -> dict[str, Speed]:
    """Median speeds, measured turn and turn about, each turn of about `seconds`."""
    twice = {"two": "one", "two C": "C"}
    steps = {name: _steps(run, seconds) for name, run in runners.items() if name not in twice}
    steps |= {name: steps[single] for name, single in twice.items()}
    speeds: dict[str, list[Speed]] = {name: [] for name in runners}
    for _ in range(repeats):
        for name, run in runners.items():
            speeds[name].append(measured(run, steps[name]))
    return {
        name: Speed(
            statistics.median(s.processor for s in values),
            statistics.median(s.clock for s in values),
        )
        for name, values in speeds.items()
    }


def _steps(run: Runner, seconds: float) -> int:
    """Steps that take about `seconds` of the processor."""
    steps = 10
    while True:
        run(PATHS, steps)  # JAX compiles again for each number of steps
        began = time.process_time()
        run(PATHS, steps)
        if (elapsed := time.process_time() - began) > 0.2 * seconds:
            return max(1, int(steps * seconds / elapsed))
        steps *= 3


def measured(run: Runner, steps: int) -> Speed:
    """One turn."""
    clock, processor = time.perf_counter(), time.thread_time()
    run(PATHS, steps)
    scale = 1e9 / (PATHS * steps)
    return Speed((time.thread_time() - processor) * scale, (time.perf_counter() - clock) * scale)


COLUMNS = ("C", "ours", "ours/C", "2 threads", "2 C", "NumPy/ours", "JAX/ours", "diffrax/ours")


def speed_table(repeats: int, seconds: float) -> None:
    """Ours against C on one thread, two threads against one, and the slower peers."""
    print(
        "ns per path-step; one-thread figures are processor time, the rest is by the clock; '2 C' "
        "is what the machine gives\nto two C kernels at once, the most that two threads can reach"
    )
    print(f"{'model':24}" + "".join(f"{c:>13}" for c in COLUMNS))
    for model in MODELS:
        c = c_kernel(model.name, model.start, model.alpha, model.sigma)
        _row(model, {"C": c, "one": ours(model, 1), "two": ours(model, 2)}, repeats, seconds)
    for rule in RULES:
        c = c_kernel(rule.name, rule.start, rule.alpha, rule.sigma)
        _row(rule, {"C": c, "one": ours(rule, 1), "two": ours(rule, 2)}, repeats, seconds)
    for equation in EQUATIONS:
        c = c_kernel(equation.name, equation.start, 1.0, math.sqrt(equation.span))
        runners = {"C": c, "one": our_limit(equation, 1), "two": our_limit(equation, 2)}
        _row(equation, runners, repeats, seconds)


def _row(
    model: Model | Rule | Equation, runners: dict[str, Runner], repeats: int, seconds: float
) -> None:
    c = runners["C"]
    runners = runners | {"two C": lambda paths, steps: at_once(c, paths, steps)}
    if not isinstance(model, Rule):
        recursion = recursion_of(model)
        peers = {
            "NumPy": numpy_by_hand(recursion),
            "JAX": jax_scan(recursion),
            "diffrax": diffrax_euler(model) if isinstance(model, Equation) else None,
        }
        runners |= {name: run for name, run in peers.items() if run is not None}
    speed = interleaved(runners, seconds, repeats)
    one = speed["one"]
    cells = [f"{speed['C'].processor:.2f}", f"{one.processor:.2f}"]
    cells += [f"{one.processor / speed['C'].processor:.2f}"]
    cells += [f"{one.clock / speed['two'].clock:.2f}×"]
    cells += [f"{2 * speed['C'].clock / speed['two C'].clock:.2f}×"]
    for name in ("NumPy", "JAX", "diffrax"):
        cells += [f"{speed[name].clock / one.clock:.1f}" if name in speed else "-"]
    print(f"{model.name:24}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def at_once(kernel: Runner, paths: int, steps: int) -> None:
    """The same work twice, in two threads."""
    with ThreadPoolExecutor(2) as pool:
        for work in [pool.submit(kernel, paths, steps) for _ in range(2)]:
            work.result()


def constrained_table(paths: int = 1000, steps: int = 20) -> None:
    """Speed of a diffusion on Γ without a closed form, by numbers of weights and samples."""
    print("\nadditive noise on a diagonal net, limit on Γ: µs per path-step of the processor")
    print(f"{'samples':10}" + "".join(f"{f'N = {n}':>10}" for n in (8, 16, 32)))
    for samples in (1, 2, 4):
        cells = []
        for weights in (8, 16, 32):
            limit = compile_limit(
                derive_limit(with_additive_noise(random_diagonal_net(weights, samples)))
            )
            start = limit.retract(np.full((1, weights), 0.4))[0]
            run = partial(simulate_limit, limit, start, step=1e-3, seed=1, record=2, threads=1)
            run(time=1e-3, paths=1)
            began = time.process_time()
            run(time=steps * 1e-3, paths=paths)
            cells.append((time.process_time() - began) / paths / steps * 1e6)
        print(f"{samples:<10}" + "".join(f"{cell:10.2f}" for cell in cells), flush=True)


DERIVATIONS = {
    "diagonal net, N = 32, two samples": lambda: random_diagonal_net(32, 2),
    "diagonal net, N = 128, four samples": lambda: random_diagonal_net(128, 4),
    "tanh net, N = 24, two samples": lambda: tanh_net(8),
}


def derivation_table() -> None:
    """How long a user waits for `derive_limit`, the model's own checks included."""
    print("\nlabel noise: processor seconds of derive_limit")
    for name, problem in DERIVATIONS.items():
        began = time.process_time()
        derive_limit(problem())
        print(f"{name:36}{time.process_time() - began:8.2f}", flush=True)


def first_step(name: str) -> None:
    """Print the processor seconds from a stated model to its first step, imports done."""
    model = next(m for m in MODELS if m.name == name)
    problem = model.problem()
    began = time.process_time()
    ours_once = compile_descent(problem)
    simulate_descent(
        ours_once, model.start, alpha=model.alpha, sigma=0.1, steps=1, paths=PATHS, seed=1
    )
    print(time.process_time() - began)


def peak_memory(steps: int) -> None:
    """Print the peak memory of 1000 paths at 100 recorded times, in MB."""
    model = MODELS[0]
    simulate_descent(
        model.problem(),
        model.start,
        alpha=model.alpha,
        sigma=model.sigma,
        steps=steps,
        paths=1000,
        seed=1,
    )
    # `getrusage` would count the parent's peak too, which outlives the start of a new program.
    peak = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    print(int(peak.split()[1]) / 1024)


def in_new_process(*arguments: str) -> float:
    """What another run of this program prints."""
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(printed)


def machine() -> str:
    """Name of the processor, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="turns of each runner")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a turn")
    parser.add_argument(
        "--longest",
        type=int,
        default=1_000_000,
        metavar="STEPS",
        help="length of the run whose memory is measured",
    )
    parser.add_argument("--first-step", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("--peak-memory", type=int, metavar="STEPS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.first_step:
        first_step(arguments.first_step)
        return
    if arguments.peak_memory:
        peak_memory(arguments.peak_memory)
        return
    print(f"{machine()}, {platform.system()}, Python {platform.python_version()}\n")
    speed_table(arguments.repeats, arguments.seconds)
    constrained_table()
    derivation_table()
    print("\nprocessor seconds from a cached model to its first step, after imports")
    for model in MODELS:
        in_new_process("--first-step", model.name)
        print(f"{model.name:26}{in_new_process('--first-step', model.name):9.2f}")
    print("\npeak memory in MB, ring_linear_noise, 1000 paths, 100 recorded times")
    for steps in (10_000, arguments.longest):
        print(f"{steps:>10} steps{in_new_process('--peak-memory', str(steps)):14.0f}")


if __name__ == "__main__":
    main()
