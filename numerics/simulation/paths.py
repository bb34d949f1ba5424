"""Recorded paths, of the recursion or of its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from html import escape
from os import PathLike
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from derive.errors import SavedFileError

from ..errors import ArgumentError
from ..formats.archive import read_archive, write_archive
from ..formats.tables import table

FORMAT = "singular-limit paths"
VERSION = 1
FIELDS = ("times", "weights", "status", "stopped")

SHOWN_WEIGHTS = 8
"""Number of weights that a table of paths has a row for."""

Unit = Literal["iterations", "slow time"]


class Status(IntEnum):
    """How a path ended."""

    OK = 0
    DIVERGED = 1
    """Its weights became infinite or NaN."""
    LEFT_NEIGHBOURHOOD = 2
    """It went further from its start than allowed, or left the regular part of Γ."""


@dataclass(frozen=True)
class Paths:
    """Sample paths at the recorded times.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Recorded times, increasing, in the unit `unit`.
    weights : ndarray, shape (paths, T, N)
        The weights; NaN from the step on at which a path stopped.
    unit : {"iterations", "slow time"}
        Unit of `times`.
    status : ndarray of Status, shape (paths,)
        How each path ended.
    stopped : ndarray of int, shape (paths,)
        The first step after which the path was no longer OK, −1 for paths that reached the end.

    Raises
    ------
    ArgumentError
        If the shapes do not fit each other.
    """

    times: NDArray[np.float64]
    weights: NDArray[np.float64]
    unit: Unit
    status: NDArray[np.object_]
    stopped: NDArray[np.int64]

    def __post_init__(self) -> None:
        paths, times = self.weights.shape[:2] if self.weights.ndim == 3 else (-1, -1)
        expected = {"times": (times,), "status": (paths,), "stopped": (paths,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ArgumentError(
                    f"{name}: shape {getattr(self, name).shape} does not fit weights of shape "
                    f"{self.weights.shape}; expected times (T,), weights (paths, T, N), "
                    "status and stopped (paths,)"
                )
        if self.unit not in get_args(Unit):
            raise ArgumentError(f"unit: expected one of {get_args(Unit)}, got {self.unit!r}")
        status = np.array(Status, dtype=object)[self.status.astype(np.int64)]
        object.__setattr__(self, "status", status)

    def __len__(self) -> int:
        return len(self.weights)

    def __str__(self) -> str:
        paths, times, dimension = self.weights.shape
        ends = ", ".join(
            f"{count} {status.name.lower().replace('_', ' ')} (first at step {first})"
            for status, count, first in self.failures()
        )
        return (
            f"{paths} paths of {dimension} weights at {times} times up to "
            f"{self.times[-1]:g} ({self.unit}); {ends or 'all reached the end'}"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return _table(self)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which paths reached the end, shape (paths,)."""
        return np.asarray(self.status == Status.OK, dtype=bool)

    def failures(self) -> list[tuple[Status, int, int]]:
        """For each way to fail that occurred: status, number of paths, first step."""
        failed = [(s, self.stopped[self.status == s]) for s in Status if s is not Status.OK]
        return [(status, len(steps), int(steps.min())) for status, steps in failed if len(steps)]

    def save(self, path: str | PathLike[str], origin: str = "") -> None:
        """Write a compressed `.npz` file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Name of the file, taken as it is.
        origin : str
            What the paths are a part of, for `load` to check.
        """
        content = {name: getattr(self, name) for name in ("unit", *FIELDS)} | {"origin": origin}
        content["status"] = self.status.astype(np.int8)
        write_archive(path, FORMAT, VERSION, content)

    @classmethod
    def joined(cls, parts: Sequence[Paths]) -> Paths:
        """Put runs of different paths at the same times together, in order.

        Raises
        ------
        ArgumentError
            If their times or units differ.
        """
        first = parts[0]
        if any(p.unit != first.unit or not np.array_equal(p.times, first.times) for p in parts):
            raise ArgumentError("parts: expected runs recorded at the same times, in the same unit")
        weights, status, stopped = (
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("weights", "status", "stopped")
        )
        return cls(first.times, weights, first.unit, status, stopped)

    @classmethod
    def load(cls, path: str | PathLike[str], origin: str | None = None) -> Paths:
        """Read a file written by `save`.

        Parameters
        ----------
        path : path-like
            Name of the file.
        origin : str, optional
            What the paths have to be a part of.

        Raises
        ------
        SavedFileError
            If the file is truncated, of another kind, of a newer version, or of another origin.
        """
        content = read_archive(path, FORMAT, VERSION, {*FIELDS, "unit"}, "Paths.save")
        if origin is not None and str(content.get("origin")) != origin:
            raise SavedFileError(f"{path}: paths of another run than the one that is continued")
        try:
            return cls(**{name: content[name] for name in FIELDS}, unit=str(content["unit"]))  # type: ignore[arg-type]
        except (ValueError, TypeError, IndexError) as error:
            raise SavedFileError(f"{path}: damaged paths: {error}") from error


def _table(paths: Paths) -> str:
    """What the paths are, and where those that reach the end start and end, one row per weight."""
    summary = f"<p>{escape(str(paths))}</p>"
    reached = paths.weights[paths.ok]
    if not len(reached):
        return summary
    start, end = reached[:, 0].mean(axis=0), reached[:, -1]
    cells = zip(start, end.mean(axis=0), end.std(axis=0), strict=True)
    rows = [
        (f"<td>{i}</td>", *(f"<td>{x:.4g}</td>" for x in row))
        for i, row in enumerate(cells)
        if i < SHOWN_WEIGHTS
    ]
    hidden = paths.weights.shape[2] - len(rows)
    more = f"<p>and {hidden} more weights</p>" if hidden else ""
    times = [f"{t:g}" for t in np.asarray(paths.times)[[0, -1]]]
    head = ("weight", f"mean at {times[0]}", f"mean at {times[1]}", "deviation")
    return summary + table(head, rows) + more
