"""What callers of the simulators may pass, checked and brought to one form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def starting_points(
    start: ArrayLike | Mapping[Any, float], weights: Sequence[Any], paths: int
) -> Doubles:
    """Starting points of all paths, shape (paths, N).

    Parameters
    ----------
    start : array-like of shape (N,) or (paths, N), or mapping of weight to number
        One point for all paths, or one a path.
    weights : sequence of Symbol
        The N weights.
    paths : int
        Number of paths.

    Raises
    ------
    ValueError
        If the shape or the symbols do not fit, or a coordinate is not finite.
    """
    if isinstance(start, Mapping):
        odd = sorted(map(str, set(start) ^ set(weights)))
        if odd:
            raise ValueError(
                f"start: expected a value for each of {', '.join(map(str, weights))}; "
                f"check {', '.join(odd)}"
            )
        start = [float(start[w]) for w in weights]
    points = np.array(start, dtype=np.float64)
    if points.shape not in {(len(weights),), (paths, len(weights))}:
        raise ValueError(
            f"start: expected shape ({len(weights)},) or ({paths}, {len(weights)}), "
            f"got {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError("start: expected finite numbers")
    return np.array(np.broadcast_to(points, (paths, len(weights))))


def recorded_steps(record: int | ArrayLike, steps: int) -> NDArray[np.int64]:
    """Iterations to record: a number of equally spaced ones, or those given.

    Raises
    ------
    ValueError
        If fewer than two are asked for, or those given do not increase from 0 or more to `steps`
        or less.
    """
    if isinstance(record, Integral):
        if record < 2:
            raise ValueError(f"record: expected at least 2 times (first and last), got {record}")
        return np.unique(np.linspace(0, steps, int(record)).round().astype(np.int64))
    given = np.asarray(record, dtype=np.float64)
    if given.ndim != 1 or not given.size or not np.isfinite(given).all():
        raise ValueError("record: expected a number of times, or a sequence of iterations")
    times = given.round().astype(np.int64)
    if (np.diff(times) < 0).any() or times[0] < 0 or times[-1] > steps:
        raise ValueError(
            f"record: expected iterations that increase within 0 … {steps}, "
            f"got {given[0]:g} … {given[-1]:g}"
        )
    return np.unique(times)


def check_counts(**counts: tuple[int, int]) -> None:
    """Refuse what is not an integer of at least the second number; keywords name the arguments."""
    for name, (value, least) in counts.items():
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name}: expected an integer, at least {least}; got {value!r}")


def processors() -> int:
    """Count the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
