"""The stochastic limit of an update rule, all its paths stepped together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ...geometry.small_matrices import Array
from ...models.rule_limit import CompiledRuleLimit
from ...random.plain_streams import PathStreams
from ..runner import PROGRESS_DELAY
from .sde import COLLAPSE, DIVERGED, LEFT, Execution, Schedule, diffuse

Integers = NDArray[np.int64]


@diffuse.register
def diffuse_rule(
    fast: CompiledRuleLimit, start: Array, schedule: Schedule, execution: Execution
) -> tuple[Array, Integers, Integers]:
    """Simulate from points of Γ; arguments and results as for `sde.diffuse`.

    A step injects Θ^{1/2} ΔB, then the drift along Γ, and retracts to the nearest point, which
    makes the normal part of the Itô drift by itself. Weak order one.
    """
    points = start.copy()
    status = np.where(np.isfinite(points).all(axis=1), 0, DIVERGED).astype(np.int64)
    stopped = np.where(status == 0, -1, 0).astype(np.int64)
    floors = COLLAPSE * fast.spectrum(points)[:, 0]
    streams = PathStreams(execution.seed, len(points), execution.first_path)
    record = np.full((len(points), len(schedule.times), fast.dimension), np.nan)
    bar = tqdm(
        total=int(schedule.counts.sum()),
        unit="step",
        delay=PROGRESS_DELAY,
        disable=None,
        leave=False,
    )
    taken = 0
    for slot in range(len(schedule.times)):
        for _, count, span in schedule.slices(slot, lambda: 1):
            taken += count
            noise = np.vstack([streams.normal_pair() for _ in range(-(-fast.dimension // 2))])
            alive = np.flatnonzero(status == 0)
            moved = _stepped(fast, points[alive], noise[: fast.dimension, alive].T, span)
            finite = np.asarray(np.isfinite(moved).all(axis=1))
            regular = np.zeros(len(alive), dtype=bool)
            regular[finite] = fast.spectrum(moved[finite])[:, 0] > floors[alive[finite]]
            gone = alive[~regular]
            status[gone], stopped[gone] = np.where(finite[~regular], LEFT, DIVERGED), taken
            points[alive[regular]] = moved[regular]
            bar.update(count)
        record[status == 0, slot] = points[status == 0]
    bar.close()
    return record, status, stopped


def _stepped(fast: CompiledRuleLimit, points: Array, noise: Array, span: float) -> Array:
    drift = fast.drift(points)
    # Only what is tangential: the retraction makes the rest.
    rows = fast.normals(points)
    along = drift - np.einsum("pki,pk->pi", rows, np.einsum("pki,pi->pk", rows, drift))
    kicks = np.einsum("pij,pj->pi", fast.diffusion(points), noise)
    return fast.retract(points + span * along + np.sqrt(span) * kicks)
