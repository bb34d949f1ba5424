"""What is recorded along a run of a network or of its limit, and the file a run resumes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive.errors import SavedFileError

from ...formats.archive import read_archive, write_archive
from ...simulation.paths import Status, Unit
from ...validation.measurements.statistics import Estimate, mean
from ..mechanisms import Tree
from ..network import Network
from ..normal_space.geometry import Surface
from ..normal_space.manifold import geometry, retract
from ..normal_space.moments import Moments
from ..programs import Doubles

RECORDS = ("loss", "regularizer", "trace", "smallest", "largest", "distance", "crossed", "test")
"""L at the iterate; then at the point of Γ next to it Reg, tr H, the smallest positive and the
largest eigenvalue of H (of ΩH under a preconditioner Ω), and how far it is from where the run
began; of a network with kinks, on the other side of how many it is than the beginning; and the
user's test error."""

FORMAT, VERSION = "singular-limit network run", 1
TestError = Callable[[Tree], Any]


@dataclass(frozen=True)
class Course:
    """Records of runs of a network, or of its limit, at increasing times.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Recorded times, in `unit`.
    unit : {"iterations", "slow time"}
    records : mapping of str to ndarray, shape (paths, T)
        By the names of `RECORDS`; NaN where a path has stopped. No "crossed" without kinks, no
        "test" if no test was given.
    end : ndarray, shape (paths, N)
        Weights at the last time.
    status : ndarray of Status, shape (paths,)
    stopped : ndarray of int, shape (paths,)
        Index of the first recorded time at which a path was no longer OK, −1 if it reached the end.
    """

    times: Doubles
    unit: Unit
    records: Mapping[str, Doubles]
    end: Doubles
    status: NDArray[np.object_]
    stopped: NDArray[np.int64]

    def __getitem__(self, name: str) -> Doubles:
        """A record, shape (paths, T)."""
        return self.records[name]

    def mean(self, name: str) -> Estimate:
        """Mean of a record over the paths with its standard error, shape (T,)."""
        return mean(self.records[name])

    def __len__(self) -> int:
        return len(self.end)

    def __str__(self) -> str:
        first, last = (
            ", ".join(f"{name} {values[:, i].mean():.5g}" for name, values in self.records.items())
            for i in (0, -1)
        )
        stops = sum(s is not Status.OK for s in self.status)
        return (
            f"{len(self)} paths of {self.end.shape[1]} weights to {self.times[-1]:g} "
            f"({self.unit}), {stops} stopped\nfirst: {first}\nlast:  {last}"
        )


@dataclass(frozen=True)
class Observer:
    """Reads the records off weights.

    Attributes
    ----------
    network : Network
    origin : Surface
        Γ where the run begins.
    test : callable or None
        Test error at parameters.
    """

    network: Network
    origin: Surface
    test: TestError | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the records."""
        missing = {"crossed": self.network.cell, "test": self.test}
        return tuple(name for name in RECORDS if missing.get(name, True) is not None)

    @cached_property
    def _cell(self) -> Doubles | None:
        cell = self.network.cell
        return None if cell is None else cell.doubles(self.origin.point)

    def __call__(self, w: Doubles) -> Doubles:
        """Records at weights of shape (N,), in the order of `names`.

        Raises
        ------
        ManifoldError
            If there is no regular point of Γ close to the weights.
        """
        network = self.network
        near, _ = retract(self.origin, w)
        here = geometry(network, near)
        values = [
            network.loss(w),
            network.once(Moments).regularizer(here),
            here.trace,
            float(here.values[0]),
            float(here.values[-1]),
            float(np.linalg.norm(near - self.origin.point)),
        ]
        if network.cell is not None:
            values.append(float(np.count_nonzero(network.cell.doubles(near) != self._cell)))
        if self.test is not None:
            with network.in_precision():
                values.append(float(self.test(network.unflattened(w))))
        return np.array(values)


@dataclass(frozen=True)
class Checkpoint:
    """A file that a killed run goes on from, to the same bits; None keeps nothing.

    Attributes
    ----------
    path : path-like or None
    identity : tuple
        All that determines the run.
    """

    path: str | PathLike[str] | None
    identity: tuple[Any, ...]

    @property
    def digest(self) -> str:
        """Of what determines the run."""
        whole = hashlib.sha256()
        for part in self.identity:
            whole.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        return whole.hexdigest()

    def save(self, **state: Any) -> None:
        """Keep the state, whole or not at all."""
        if self.path is not None:
            write_archive(self.path, FORMAT, VERSION, state | {"digest": self.digest})

    def load(self, names: set[str]) -> dict[str, NDArray[Any]] | None:
        """The state that was kept, or None.

        Raises
        ------
        SavedFileError
            If the file is another run's, or damaged.
        """
        if self.path is None or not Path(self.path).exists():
            return None
        state = read_archive(self.path, FORMAT, VERSION, names | {"digest"}, "checkpoint=")
        if str(state["digest"]) != self.digest:
            raise SavedFileError(
                f"{self.path}: the checkpoint of another run; give the arguments it was started "
                "with, or another file"
            )
        return state


def identity_of(network: Network) -> tuple[Any, ...]:
    """What determines the results of a network, as far as it can be told from its functions."""
    w = network.start
    eta = np.full(network.noise_size, 0.1)
    values: list[Any] = [w, network.curvatures, network.residual.doubles(w), network.loss(1.1 * w)]
    if network.noise is not None:
        values += [network.noise.name, network.noise.law]
        values += [network.once(Moments).stochastic_gradient(w, eta)]
    return (
        *values,
        network.batch_size,
        network.replacement,
        network.optimizer,
        network.precision,
        network.probes,
        network.seed,
    )
