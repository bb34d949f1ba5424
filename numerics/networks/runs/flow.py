"""The limit of a network along Γ: a flow with error control, or small steps of a diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import RK45
from tqdm.auto import tqdm

from derive import ManifoldError

from ...arguments import check_counts, number, positive
from ...simulation.limit.integrate import recorded_times, simulate_limit
from ...simulation.limit.sde import COLLAPSE
from ...simulation.runner import PROGRESS_DELAY
from ..limit import NetworkLimit
from ..mechanisms import Tree
from ..normal_space.geometry import Surface
from ..normal_space.manifold import geometry, retract
from ..programs import Doubles
from .course import Checkpoint, Course, Observer, TestError, identity_of
from .descent import course

TOLERANCE = 1e-6
FEWEST_STEPS = 200
"""Steps of a diffusion in a run, if no step is given."""
STATE = {"done", "w", "h", "k", "records"}


def simulate_network_limit(
    limit: NetworkLimit,
    start: Tree = None,
    *,
    time: float,
    paths: int = 1,
    seed: int = 0,
    step: float | None = None,
    alpha: float | None = None,
    record: int | ArrayLike = 20,
    test: TestError | None = None,
    tolerance: float = TOLERANCE,
    checkpoint: str | PathLike[str] | None = None,
) -> Course:
    """Follow the limit along Γ; what `numerics.simulate_limit` does with a network's limit.

    A limit without noise by Runge–Kutta steps of order 5 with error control (scipy), each retracted
    to Γ; its paths are all the same, and one is computed, unless the network has probes: then each
    has its own, the same all along, and their spread is what the estimates leave open. A diffusion
    by Euler–Maruyama steps of tangential noise and drift, each retracted.

    Parameters
    ----------
    limit : NetworkLimit
        What to follow.
    start : pytree or ndarray of shape (N,), optional
        A point of Γ, or one as close as rounding; the network's parameters if not given.
    time : float
        Slow time at which to end.
    paths, seed : int
        Number of paths, and seed, of a diffusion.
    step : float, optional
        Step of a diffusion; 1/200 of the time if not given.
    alpha : float, optional
        Follow `limit.at_step(alpha)`.
    record : int or array-like
        How many equally spaced times to record, or which.
    test : callable, optional
        Test error at parameters.
    tolerance : float
        Error of a step of a flow, relative to the size of the weights.
    checkpoint : path-like, optional
        File in which the state is kept at every recorded time; a run that finds it there, with the
        same arguments, goes on from it to the same bits.

    Returns
    -------
    Course
        In slow time. Where H loses rank, or Γ no longer attracts at the step size, a path ends.

    Raises
    ------
    ArgumentError
        If an argument is out of its range.
    ManifoldError
        If the start is not on Γ.
    SavedFileError
        If the checkpoint is another run's.
    """
    time, tolerance = number("time", time, positive), number("tolerance", tolerance, positive)
    step = time / FEWEST_STEPS if step is None else number("step", step, positive)
    check_counts(paths=(paths, 1), seed=(seed, 0))
    times = recorded_times(record, time)
    if alpha is not None:
        limit = limit.at_step(alpha)
    network = limit.problem
    given = limit.origin.point if start is None else network.flattened(start)
    w0, _ = retract(limit.origin, given)
    origin = limit.origin if w0 is limit.origin.point else geometry(network, w0)
    observer = Observer(network, origin, test)
    runs = 1 if limit.deterministic and network.probes is None else paths
    every = []
    for p in range(runs):
        if network.probes is not None:
            limit = limit.probed(seed + p)
            origin = origin.of(limit.problem)
            observer = replace(observer, network=limit.problem, origin=origin)
        follower = (
            Flow(limit, origin, tolerance)
            if limit.deterministic
            else Diffusion(limit, origin, step, (seed, p))
        )
        place = None if checkpoint is None else f"{checkpoint}{f'.{p}' if runs > 1 else ''}"
        shared = (limit.equation, w0, times, tolerance, step, seed, p, test is None)
        identity = (*identity_of(network), *shared)
        every.append(_follow(follower, observer, times, Checkpoint(place, identity)))
    records = np.stack([r for r, _ in every])
    end = np.stack([w for _, w in every])
    if runs < paths:
        records, end = (np.repeat(x, paths, axis=0) for x in (records, end))
    return course(times, "slow time", observer.names, records, end)


simulate_limit.register(NetworkLimit, simulate_network_limit)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Place:
    """Where a run is: weights, slow time, step size to try next (0 if unknown), steps taken."""

    w: Doubles
    t: float
    h: float = 0.0
    k: int = 0


@dataclass(frozen=True)
class Flow:
    """Steps of dW/dt = b(W) along Γ.

    Attributes
    ----------
    limit : NetworkLimit
    origin : Surface
        Where it begins.
    tolerance : float
    """

    limit: NetworkLimit
    origin: Surface
    tolerance: float

    def steps(self, place: Place, end: float) -> Iterator[Place]:
        """The place after each step up to a time."""
        size = float(np.sqrt(np.mean(place.w**2)))
        solver = RK45(
            lambda _, w: self.limit.velocity(geometry(self.limit.problem, w, keep=True)),
            place.t,
            place.w,
            end,
            rtol=self.tolerance,
            atol=self.tolerance * size,
            first_step=min(place.h, end - place.t) if place.h else None,
        )
        here, k = self.origin, place.k
        while solver.status == "running":
            before = solver.h_abs
            solver.step()
            if solver.status == "failed":
                raise ManifoldError("the flow does not go on: no step is short enough")
            solver.y, here = retract(here, solver.y)
            k += 1
            # A step cut short by the end says nothing of the next one.
            cut = solver.status == "finished" and solver.step_size < before
            yield Place(solver.y, float(solver.t), float(before if cut else solver.h_abs), k)


@dataclass(frozen=True)
class Diffusion:
    """Euler–Maruyama steps along Γ.

    Attributes
    ----------
    limit : NetworkLimit
    origin : Surface
        Where it begins.
    step : float
    seed : tuple of int
        Seed and number of the path; the noise of step k depends on them and k alone.
    """

    limit: NetworkLimit
    origin: Surface
    step: float
    seed: tuple[int, int]

    def steps(self, place: Place, end: float) -> Iterator[Place]:
        """The place after each step up to a time."""
        network, w = self.limit.problem, place.w
        count = max(1, int(np.ceil((end - place.t) / self.step - 1e-9)))
        span = (end - place.t) / count
        for k in range(place.k, place.k + count):
            here = geometry(network, w, keep=True)
            xi = np.random.default_rng((*self.seed, k)).standard_normal(network.noise_size)
            w, _ = retract(here, w + self.limit.increment(here, span, xi))
            yield Place(w, place.t + (k + 1 - place.k) * span, 0.0, k + 1)


def _follow(
    follower: Flow | Diffusion, observer: Observer, times: Doubles, keep: Checkpoint
) -> tuple[Doubles, Doubles]:
    """Records, shape (T, names), and the last weights."""
    kept = keep.load(STATE)
    if kept is None:
        done, place = 0, Place(follower.origin.point, 0.0)
        records = np.full((len(times), len(observer.names)), np.nan)
    else:
        done, records = int(kept["done"]), kept["records"]
        place = Place(kept["w"], float(times[done - 1]), float(kept["h"]), int(kept["k"]))
    bar = tqdm(
        total=float(times[-1]),
        initial=place.t,
        unit="slow time",
        delay=PROGRESS_DELAY,
        disable=None,
    )
    with bar:
        for row in range(done, len(times)):
            try:
                ahead = follower.steps(place, float(times[row])) if times[row] > place.t else ()
                for place in ahead:
                    bar.update(place.t - bar.n)
                found = observer(place.w)
            except ManifoldError:
                break
            if not _regular(follower, dict(zip(observer.names, found, strict=True))):
                break
            records[row] = found
            keep.save(done=row + 1, w=place.w, h=place.h, k=place.k, records=records)
    return records, place.w


def _regular(follower: Flow | Diffusion, record: dict[str, float]) -> bool:
    """Whether H keeps its rank, and Γ attracts at the step size."""
    alpha, optimizer = follower.limit.equation.step, follower.limit.problem.optimizer
    ends = np.array([record["smallest"], record["largest"]])
    attracts = alpha == 0.0 or optimizer.spectral_radius(alpha, ends) < 1.0
    return attracts and record["smallest"] > COLLAPSE * follower.origin.values[0]
