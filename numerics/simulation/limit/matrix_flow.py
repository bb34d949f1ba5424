"""The limit of a matrix model: Heun steps of adapted length, each retracted to Γ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ...models.matrix_free import GramSolver, MatrixFreeModel
from ..paths import Status
from ..runner import PROGRESS_DELAY

Array = NDArray[np.float64]

TOLERANCE = 1e-3
"""Error of a step, relative to the norm of the weights, where none that can be kept is asked."""

FINEST = 1e-6
"""Least such error: below, the projection is not solved to that accuracy."""

SAFETY = 0.9


def follow(
    model: MatrixFreeModel, point: Array, times: Array, tolerance: float, weights: Array
) -> tuple[int, int]:
    """Solve dW/dt = b(W) from a point of Γ.

    Parameters
    ----------
    model : MatrixFreeModel
        The equation.
    point : ndarray, shape (N,)
        Where it begins; NaN of a run that does not lead to Γ.
    times : ndarray, shape (T,)
        Times to record, increasing.
    tolerance : float
        Error of a step, relative to the norm of the weights; `TOLERANCE` if below `FINEST`.
    weights : ndarray, shape (T, N)
        Filled with the solution.

    Returns
    -------
    status, step : int
        LEFT_NEIGHBOURHOOD where no step, however short, stays on Γ.
    """
    if not np.isfinite(point).all():
        return int(Status.DIVERGED), 0
    solver = GramSolver(model.functions)
    w = model.retract(solver, point)
    size = (tolerance if tolerance >= FINEST else TOLERANCE) * float(np.linalg.norm(w))
    slope, found = model.drift(solver, w)
    step, t, steps = size / max(float(np.linalg.norm(slope)), 1e-300), 0.0, 0
    bar = tqdm(total=float(times[-1]), unit="time", delay=PROGRESS_DELAY, disable=None, leave=False)
    with bar:
        for row, end in enumerate(times):
            while end - t > 1e-12 * end:
                h = min(step, end - t)
                ahead, there = model.drift(solver, w + h * slope, found)
                error = h / 2 * float(np.linalg.norm(ahead - slope))
                factor = SAFETY * np.sqrt(size / max(error, 1e-30))
                accurate = error <= size
                moved = model.retract(solver, w + h / 2 * (slope + ahead)) if accurate else w
                if accurate and model.is_on_manifold(moved):
                    w, t, steps = moved, t + h, steps + 1
                    slope, found = model.drift(solver, w, there)
                    bar.update(h)
                else:
                    factor = min(factor, 0.5)
                if h == step or factor < 1:  # a step cut short by a recorded time says no more
                    step = h * float(np.clip(factor, 0.2, 2.0))
                if step < 1e-10 * times[-1]:
                    return int(Status.LEFT_NEIGHBOURHOOD), steps
            weights[row] = w
    return 0, -1
