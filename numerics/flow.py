"""Maps onto Γ: the nearest point, the end Φ of the gradient flow, and the end of gradient descent.

`constraints` and `gradient` are generated functions passed by address. The first gives [F | DF],
the constraints and their derivatives, shape (n + n·N,); the second ∇L. Points are worked on one by
one; one for which a map does not end becomes NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geometry import (
    ROUND_OFF,
    Array,
    add,
    compiled,
    dot,
    least_norm_solution,
    singular_rows,
    tangential,
)

CLOSE = 1e-6
"""Relative distance to Γ at which a flow line is cut: its end is the nearest point up to CLOSE²."""

TOLERANCE = 1e-12
"""Error of one step of the flow, relative to the weights."""

NEWTON_STEPS = 60
NEAREST_STEPS = 500
FLOW_STEPS = 2_000_000
DESCENT_STEPS = 10_000_000
STEPS_A_TEST = 16

Generated = Callable[[Array, Array], None]

# Dormand-Prince 5(4): nodes' weights, and the difference of the two formulas.
STAGES = (
    (1 / 5, 0.0, 0.0, 0.0, 0.0, 0.0),
    (3 / 40, 9 / 40, 0.0, 0.0, 0.0, 0.0),
    (44 / 45, -56 / 15, 32 / 9, 0.0, 0.0, 0.0),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0.0, 0.0),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0.0),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
STAGE_WEIGHTS, ERROR_WEIGHTS = np.array(STAGES), np.array(ERROR)


@compiled
def length_of(x: Array) -> float:
    """|x|."""
    return np.sqrt(dot(x, x))


@compiled
def correction(constraints: Generated, count: int, rank: int, point: Array) -> Array:
    """DF⁺ F: what a Gauss-Newton step takes away from a point, about its distance to Γ."""
    n = len(point)
    values = np.empty((1, count * (1 + n)))
    constraints(point.reshape(1, n), values)
    return least_norm_solution(values[0, count:].reshape(count, n), values[0, :count], rank)


@compiled
def settle(constraints: Generated, count: int, rank: int, point: Array) -> bool:
    """Move a point onto Γ across it, by Gauss-Newton steps to round-off, in place."""
    before = np.inf
    for _ in range(NEWTON_STEPS):
        step = correction(constraints, count, rank, point)
        size, scale = np.max(np.abs(step)), np.max(np.abs(point)) + 1e-300
        if not np.isfinite(size):
            return False
        point -= step
        # Below the square root of round-off a step that does not shrink is round-off itself.
        if size <= ROUND_OFF * scale or (size <= 1e-8 * scale and size > 0.1 * before):
            return True
        before = size
    return False


@compiled
def along_manifold(
    constraints: Generated, count: int, rank: int, point: Array, vector: Array
) -> Array:
    """P v at a point of Γ."""
    n = len(point)
    values = np.empty((1, count * (1 + n)))
    constraints(point.reshape(1, n), values)
    return tangential(singular_rows(values[0, count:].reshape(count, n), rank)[1], vector)


@compiled
def approach(constraints: Generated, count: int, rank: int, target: Array, point: Array) -> bool:
    """Move a point along Γ to the one nearest to `target`, where P (target − w) = 0, in place.

    Projected steps of the length of Barzilai and Borwein, cut where the distance would grow.
    """
    length = 1.0
    gap = along_manifold(constraints, count, rank, point, target - point)
    best, idle = np.inf, 0
    for _ in range(NEAREST_STEPS):
        size = np.max(np.abs(gap))
        if size <= ROUND_OFF * (np.max(np.abs(point)) + np.max(np.abs(target))):
            return True
        idle = idle + 1 if size >= best else 0
        best = min(best, size)
        scale = np.max(np.abs(target - point)) + np.max(np.abs(point))
        if idle >= 5 and best <= 1e-13 * scale:
            return True
        trial = point + length * gap
        settled = settle(constraints, count, rank, trial)
        if not settled or length_of(target - trial) > length_of(target - point) + 1e-15 * scale:
            length *= 0.25
            continue
        moved = trial - point
        new_gap = along_manifold(constraints, count, rank, trial, target - trial)
        turned = dot(moved, gap - new_gap)
        length = min(dot(moved, moved) / turned, 10.0) if turned > 0 else 1.0
        point[:], gap = trial, new_gap
    return False


@compiled
def retractions(constraints: Generated, count: int, rank: int, points: Array) -> None:
    """Replace each point by the nearest one on Γ."""
    for p in range(len(points)):
        target = points[p].copy()
        point = points[p]
        if not settle(constraints, count, rank, point) or not approach(
            constraints, count, rank, target, point
        ):
            point[:] = np.nan


@compiled
def slope_at(gradient: Generated, point: Array) -> Array:
    """∇L at a point."""
    values = np.empty((1, len(point)))
    gradient(point.reshape(1, len(point)), values)
    return values[0]


@compiled
def close(constraints: Generated, count: int, rank: int, point: Array) -> bool:
    """Whether the nearest point of Γ is as good as the end of the flow."""
    distance = np.max(np.abs(correction(constraints, count, rank, point)))
    return distance <= CLOSE * np.max(np.abs(point))


@compiled
def flow_ends(
    gradient: Generated, constraints: Generated, count: int, rank: int, points: Array
) -> None:
    """Replace each point by Φ of it, the end of w' = −∇L(w) (Dormand-Prince 5(4))."""
    n = points.shape[1]
    slopes = np.empty((7, n))
    for p in range(len(points)):
        point = points[p]
        slopes[0] = -slope_at(gradient, point)
        span = 1e-3 / (np.max(np.abs(slopes[0])) + 1e-3)
        arrived = close(constraints, count, rank, point)
        for _ in range(FLOW_STEPS):
            if arrived or not np.isfinite(np.sum(point)):
                break
            for stage in range(6):
                trial = point.copy()
                for k in range(stage + 1):
                    add(trial, span * STAGE_WEIGHTS[stage, k], slopes[k])
                slopes[stage + 1] = -slope_at(gradient, trial)
            error = np.zeros(n)
            for k in range(7):
                add(error, span * ERROR_WEIGHTS[k], slopes[k])
            ratio = np.max(np.abs(error)) / (TOLERANCE * (1e-3 + np.max(np.abs(trial))))
            if ratio <= 1:
                point[:] = trial
                slopes[0] = slopes[6]
                arrived = close(constraints, count, rank, point)
            if np.isfinite(ratio):
                span *= min(5.0, max(0.2, 0.9 * (ratio + 1e-10) ** -0.2))
            else:
                span *= 0.1
        if not arrived:
            point[:] = np.nan
    retractions(constraints, count, rank, points)


@compiled
def descent_ends(
    gradient: Generated,
    constraints: Generated,
    count: int,
    rank: int,
    step: float,
    points: Array,
) -> None:
    """Replace each point by Φ_α of it, the end of w ← w − α∇L(w)."""
    for p in range(len(points)):
        point = points[p]
        arrived = False
        for k in range(DESCENT_STEPS):
            # Steps are far cheaper than the test, and steps too many change nothing.
            if k % STEPS_A_TEST == 0:
                arrived = close(constraints, count, rank, point)
                if arrived or not np.isfinite(np.sum(point)):
                    break
            point -= step * slope_at(gradient, point)
        if not arrived:
            point[:] = np.nan
    retractions(constraints, count, rank, points)
