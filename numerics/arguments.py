"""What callers of the simulators may pass, checked and brought to one form."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ArgumentError

MAX_TIMES = 10**7
"""Largest number of equally spaced times to record."""

Doubles = NDArray[np.float64]

MAX_COUNT = 2**53
"""Largest number of paths, steps or times: all integers up to it are doubles."""


def starting_points(
    start: ArrayLike | Mapping[Any, float], weights: Sequence[Any], paths: int
) -> Doubles:
    """Starting points of all paths, shape (paths, N).

    Parameters
    ----------
    start : array-like of shape (N,) or (paths, N), or mapping of weight to number
        One point for all paths, or one per path.
    weights : sequence of Symbol
        The N weights.
    paths : int
        Number of paths.

    Raises
    ------
    ArgumentError
        If the shape or the symbols do not fit, or a coordinate is not finite.
    """
    if isinstance(start, Mapping):
        odd = sorted(map(str, set(start) ^ set(weights)))
        if odd:
            raise ArgumentError(
                f"start: expected a value for each of {', '.join(map(str, weights))}; "
                f"check {', '.join(odd)}"
            )
        start = [start[w] for w in weights]
    points = doubles("start", start)
    if points.shape not in {(len(weights),), (paths, len(weights))}:
        raise ArgumentError(
            f"start: expected shape ({len(weights)},) or ({paths}, {len(weights)}), "
            f"got {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ArgumentError("start: expected finite numbers")
    return np.array(np.broadcast_to(points, (paths, len(weights))))


def recorded_steps(record: int | ArrayLike, steps: int) -> NDArray[np.int64]:
    """Iterations to record: a number of equally spaced ones, or those given.

    Raises
    ------
    ArgumentError
        If fewer than two are asked for, or those given do not increase from 0 or more to `steps`
        or less.
    """
    given = equally_spaced(record, steps)
    times = given.round().astype(np.int64)
    if (np.diff(times) < 0).any() or times[0] < 0 or times[-1] > steps:
        raise ArgumentError(
            f"record: expected iterations that increase within 0 … {steps}, "
            f"got {given[0]:g} … {given[-1]:g}"
        )
    return np.unique(times)


def equally_spaced(record: int | ArrayLike, end: float) -> Doubles:
    """So many times from 0 to `end`, or those given.

    Raises
    ------
    ArgumentError
        If fewer than two are asked for, or what is given is no sequence of finite numbers.
    """
    if isinstance(record, Integral):
        if not 2 <= record <= MAX_TIMES:
            raise ArgumentError(
                f"record: expected at least 2 times (first and last), at most {MAX_TIMES}; "
                f"got {record}"
            )
        return np.linspace(0.0, end, int(record))
    times = doubles("record", record)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ArgumentError(
            f"record: expected a number of times, or an increasing sequence of them; got {record!r}"
        )
    return times


def doubles(name: str, given: Any) -> Doubles:
    """The given numbers as an array of doubles.

    Raises
    ------
    ArgumentError
        If they are no numbers, or not of one shape.
    """
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{name}: expected numbers, got {given!r}") from error


def number(
    name: str, given: Any, fits: Callable[[float], bool], expected: str = "a positive number"
) -> float:
    """The given number as a double.

    Raises
    ------
    ArgumentError
        If it is no number, or does not fit.
    """
    try:
        # A text is no number, though float() would read it.
        value = math.nan if isinstance(given, str | bytes) or np.ndim(given) else float(given)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if math.isnan(value) or not fits(value):
        raise ArgumentError(f"{name}: expected {expected}, got {given!r}")
    return value


def positive(value: float) -> bool:
    """Whether a number is above zero and finite."""
    return 0.0 < value < math.inf


def check_counts(**counts: tuple[int, int]) -> None:
    """Refuse what is not an integer of at least the second number; keywords name the arguments."""
    for name, (value, least) in counts.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ArgumentError(f"{name}: expected an integer, at least {least}; got {value!r}")
        if value > MAX_COUNT:
            raise ArgumentError(f"{name}: expected at most {MAX_COUNT}, got {value}")


def check_seed(seed: Any) -> None:
    """Refuse what is neither a non-negative integer nor a sequence of them."""
    try:
        np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"seed: expected a non-negative integer, or a sequence of them; got {seed!r}"
        ) from error
    if seed is None:  # NumPy would draw one from the operating system
        raise ArgumentError(
            "seed: expected a non-negative integer, got None; a run has a fixed seed"
        )


def check_memory(paths: int, times: int, weights: int) -> None:
    """Refuse to record more than the memory of this machine holds."""
    needed = 8 * paths * times * weights
    sizes = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if all(size in getattr(os, "sysconf_names", {}) for size in sizes):
        there = math.prod(os.sysconf(size) for size in sizes)
        if needed > there:
            raise ArgumentError(
                f"paths, record: {paths} paths of {weights} weights at {times} times are "
                f"{needed / 2**30:.3g} GiB, this machine has {there / 2**30:.3g} GiB; take fewer "
                "paths or times, or an Ensemble, which keeps its paths on disk"
            )


def processors() -> int:
    """Count the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
