"""The limit of a matrix model: Runge–Kutta steps of adapted length, each retracted to Γ."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ...models.matrix_free import GramSolver, MatrixFreeModel
from ..paths import Status
from ..runner import PROGRESS_DELAY

Array = NDArray[np.float64]

TOLERANCE = 3e-4
"""Error of a step, relative to the norm of the weights, where none that can be kept is asked."""

FINEST = 1e-6
"""Least such error: below, the projection is not solved to that accuracy."""

NO_RELATIVE_ERROR = 1e-13
"""Of single weights: what counts is the error of all, in the norm."""


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
        Times to record, increasing. The steps do not depend on them: between their ends the
        solution is interpolated, and retracted.
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
    gram, found = GramSolver(model.functions), None

    def drift(_: float, w: Array) -> Array:
        nonlocal found
        slope, found = model.drift(gram, w, found)
        return slope

    start, end = model.retract(gram, point), times[-1]
    size = (tolerance if tolerance >= FINEST else TOLERANCE) * np.linalg.norm(start)
    accuracy = {"rtol": NO_RELATIVE_ERROR, "atol": size / np.sqrt(len(start))}
    solver = scipy.integrate.RK23(drift, 0.0, start, end, **accuracy)
    weights[times == 0] = start
    steps = 0
    bar = tqdm(total=float(end), unit="time", delay=PROGRESS_DELAY, disable=None, leave=False)
    with bar:
        while solver.status == "running":
            before, slope = solver.y, solver.f
            solver.step()
            passed = (times > solver.t_old) & (times <= solver.t)
            between = solver.dense_output()(times[passed]).T
            landed = np.array([model.retract(gram, w) for w in (*between, solver.y)])
            h = solver.t - solver.t_old
            if all(map(model.is_on_manifold, landed)):
                weights[passed], solver.y = landed[:-1], landed[-1]
                steps += 1
                bar.update(h)
            elif h < 1e-10 * end:
                return int(Status.LEFT_NEIGHBOURHOOD), steps
            else:
                solver = scipy.integrate.RK23(
                    drift, solver.t_old, before, end, first_step=h / 2, **accuracy
                )
                solver.f = slope
    return 0, -1
