"""Print speeds as ratios from one interleaved run: `python -m tests.benchmarks`.

The C compiler `gcc` is needed; JAX is shown where it is installed.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from numerics import compile_descent, simulate_descent
from tests.benchmarks.models import MODELS, Model
from tests.benchmarks.peers import Runner, c_kernel, jax_scan, numpy_by_hand

PATHS = 1024


def ours(model: Model, threads: int) -> Runner:
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


@dataclass(frozen=True)
class Speed:
    """Nanoseconds per path-step: of the thread's own processor time, and by the clock."""

    processor: float
    clock: float


def interleaved(runners: Mapping[str, Runner], seconds: float, repeats: int) -> dict[str, Speed]:
    """Median speeds, measured turn and turn about, each turn of about `seconds`."""
    steps = {name: _steps(run, seconds) for name, run in runners.items() if name != "two"}
    steps["two"] = steps["one"]
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
    run(PATHS, 1)
    steps = 10
    while True:
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


def speed_table(repeats: int, seconds: float) -> None:
    """Ours against C on one thread, two threads against one, and the slower peers."""
    print("ns per path-step; one-thread figures are processor time, the rest is by the clock")
    columns = ("C", "ours", "ours/C", "2 threads", "NumPy/ours", "JAX/ours")
    print(f"{'model':26}" + "".join(f"{c:>12}" for c in columns))
    for model in MODELS:
        runners = {"C": c_kernel(model), "one": ours(model, 1), "two": ours(model, 2)}
        runners["NumPy"] = numpy_by_hand(model)
        jax = jax_scan(model)
        if jax is not None:
            runners["JAX"] = jax
        speed = interleaved(runners, seconds, repeats)
        c, one = speed["C"].processor, speed["one"]
        numbers = [f"{c:.2f}", f"{one.processor:.2f}", f"{one.processor / c:.2f}"]
        numbers += [f"{one.clock / speed['two'].clock:.2f}×"]
        numbers += [f"{speed['NumPy'].clock / one.clock:.1f}"]
        numbers += [f"{speed['JAX'].clock / one.clock:.1f}" if jax is not None else "-"]
        print(f"{model.name:26}" + "".join(f"{n:>12}" for n in numbers))


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
    run = ours(MODELS[2], 1)
    compiled = run
    compiled(1000, 10)
    simulate_descent(
        MODELS[2].problem(),
        MODELS[2].start,
        alpha=0.0125,
        sigma=0.1,
        steps=steps,
        paths=1000,
        seed=1,
    )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


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
    print("\nprocessor seconds from a cached model to its first step, after imports")
    for model in MODELS:
        in_new_process("--first-step", model.name)
        print(f"{model.name:26}{in_new_process('--first-step', model.name):9.2f}")
    print("\npeak memory in MB, diagonal_net_labels_32, 1000 paths, 100 recorded times")
    for steps in (10_000, 100_000):
        print(f"{steps:>10} steps{in_new_process('--peak-memory', str(steps)):14.0f}")


if __name__ == "__main__":
    main()
