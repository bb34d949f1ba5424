"""Maps onto Γ: the nearest point, the end Φ of the gradient flow, and the end of gradient descent.

`constraints` and `gradient` are generated functions passed by address. The first gives [F | DF],
the n constraints and their derivatives, shape (n + n·N,); the second ∇L. Points are worked on one
by one; one for which a map does not end becomes NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..codegen.kernels import compiled
from .at_points import tangential
from .small_matrices import (
    ROUND_OFF,
    Array,
    add,
    apart,
    dot,
    largest,
    least_norm_solution,
    put,
    singular_rows,
    solve_by_gram,
)

CLOSE = 1e-6
"""Relative distance to Γ at which a flow line is cut: its end is the nearest point up to CLOSE²."""

TOLERANCE = 1e-12
"""Error of one step of the flow, relative to the weights."""

BLUR = 1e-13
"""Round-off of a point that is put onto Γ, relative to the weights: far more than that of a sum."""

NEWTON_STEPS = 60
NEAREST_STEPS = 500
FLOW_STEPS = 2_000_000
DESCENT_STEPS = 10_000_000

STEPS_A_TEST, STEPS_IN_VAIN = 16, 8
"""Descent is tested for its end every 16 steps, later whenever it took an eighth more of them."""

Size = tuple[int, int]
"""Number of constraints n, and their rank K."""

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
def difference(x: Array, y: Array) -> Array:
    """The vector x − y."""
    out = x.copy()
    add(out, -1.0, y)
    return out


@compiled
def distance(x: Array, y: Array) -> float:
    """|x − y|."""
    return np.sqrt(dot(difference(x, y), difference(x, y)))


@compiled
def correction(values: Array, size: Size, point: Array, work: Array, step: Array) -> None:
    """DF⁺ F: what a Gauss-Newton step takes away from a point, about its distance to Γ, in `step`.

    Not a number where it is small though the point is far from Γ: there DF loses rank. `values`
    holds F and DF, `work` is scratch memory of shape (n + 1, n).
    """
    apart()
    count, rank = size
    left, slopes = values[:count], values[count:].reshape(count, len(point))
    if count == rank and solve_by_gram(slopes, left, work, step):
        return
    put(step, least_norm_solution(slopes, left, rank))
    scale = CLOSE * (largest(point) + 1e-3)
    if largest(step) <= scale:
        for i in range(count):
            left[i] -= dot(slopes[i], step)
        if largest(left) > scale * largest(values[count:]):
            step[:] = np.nan


@compiled
def at_rest(length: float, before: float, scale: float) -> bool:
    """Whether a point is on Γ to round-off after steps of these lengths (`before`: 0 if none)."""
    # What is left is at most what the next step would be if steps went on shrinking alike.
    if length <= ROUND_OFF * scale or length * length <= ROUND_OFF * scale * before:
        return True
    # Below the square root of round-off a step that does not shrink is round-off itself.
    return length <= 1e-8 * scale and length > 0.1 * before > 0


@compiled
def settle(constraints: Generated, size: Size, point: Array) -> bool:
    """Move a point onto Γ across it, by Gauss-Newton steps to round-off, in place."""
    apart()
    n, count = len(point), size[0]
    values = np.empty((1, count * (1 + n)))
    work, step = np.empty((count + 1, count)), np.empty(n)
    before = 0.0
    for _ in range(NEWTON_STEPS):
        constraints(point.reshape(1, n), values)
        correction(values[0], size, point, work, step)
        length, scale = largest(step), largest(point) + 1e-300
        if not np.isfinite(length):
            return False
        add(point, -1.0, step)
        if at_rest(length, before, scale):
            return True
        before = length
    return False


@compiled
def along_manifold(constraints: Generated, size: Size, point: Array, vector: Array) -> Array:
    """P v at a point of Γ."""
    apart()
    n, (count, rank) = len(point), size
    values = np.empty((1, count * (1 + n)))
    constraints(point.reshape(1, n), values)
    return tangential(singular_rows(values[0, count:].reshape(count, n), rank)[1], vector)


@compiled
def approach(constraints: Generated, size: Size, target: Array, point: Array) -> bool:
    """Move a point along Γ to the one nearest to `target`, where P (target − w) = 0, in place.

    Projected steps of the length of Barzilai and Borwein, cut where the distance would grow.
    """
    apart()
    length = 1.0
    gap = along_manifold(constraints, size, point, difference(target, point))
    best, idle = np.inf, 0
    for _ in range(NEAREST_STEPS):
        miss = largest(gap)
        if miss <= ROUND_OFF * (largest(point) + largest(target)):
            return True
        idle = idle + 1 if miss >= best else 0
        best = min(best, miss)
        scale = largest(difference(target, point)) + largest(point)
        if idle >= 5 and best <= BLUR * scale:
            return True
        trial = point.copy()
        add(trial, length, gap)
        settled = settle(constraints, size, trial)
        if not settled or distance(target, trial) > distance(target, point) + BLUR * scale:
            length *= 0.25
            continue
        moved = difference(trial, point)
        new_gap = along_manifold(constraints, size, trial, difference(target, trial))
        turned = dot(moved, difference(gap, new_gap))
        length = min(dot(moved, moved) / turned, 10.0) if turned > 0 else 1.0
        put(point, trial)
        gap = new_gap
    return False


@compiled
def retractions(constraints: Generated, size: Size, points: Array) -> None:
    """Replace each point by the nearest one on Γ."""
    for p in range(len(points)):
        target = points[p].copy()
        point = points[p]
        if not settle(constraints, size, point) or not approach(constraints, size, target, point):
            point[:] = np.nan


@compiled
def close(constraints: Generated, size: Size, point: Array) -> bool:
    """Whether the nearest point of Γ is as good as the end of the flow."""
    apart()
    n, count = len(point), size[0]
    values, step = np.empty((1, count * (1 + n))), np.empty(n)
    constraints(point.reshape(1, n), values)
    correction(values[0], size, point, np.empty((count + 1, count)), step)
    return largest(step) <= CLOSE * (largest(point) + 1e-3)


@compiled
def flow_ends(gradient: Generated, constraints: Generated, size: Size, points: Array) -> None:
    """Replace each point by Φ of it, the end of w' = −∇L(w) (Dormand-Prince 5(4))."""
    n = points.shape[1]
    slopes = np.empty((7, n))
    for p in range(len(points)):
        point = points[p]
        gradient(points[p : p + 1], slopes[:1])
        span = 1e-3 / (largest(slopes[0]) + 1e-3)
        arrived, test = close(constraints, size, point), 0
        for taken in range(FLOW_STEPS):
            if arrived or not np.isfinite(largest(point)) or largest(slopes[0]) == 0.0:
                break
            for stage in range(6):
                trial = point.copy()
                for k in range(stage + 1):
                    add(trial, -span * STAGE_WEIGHTS[stage, k], slopes[k])
                gradient(trial.reshape(1, n), slopes[stage + 1 : stage + 2])
            error = np.zeros(n)
            for k in range(7):
                add(error, span * ERROR_WEIGHTS[k], slopes[k])
            ratio = largest(error) / (TOLERANCE * (1e-3 + largest(trial)))
            if ratio <= 1:
                put(point, trial)
                put(slopes[0], slopes[6])
                if taken >= test:
                    test = taken + 1 + taken // STEPS_IN_VAIN
                    arrived = close(constraints, size, point)
            if np.isfinite(ratio):
                span *= min(5.0, max(0.2, 0.9 * (ratio + 1e-10) ** -0.2))
            elif span * largest(slopes[0]) > ROUND_OFF * largest(point):
                span *= 0.1
            else:  # it runs away to infinity
                break
        if not (arrived or close(constraints, size, point)):
            point[:] = np.nan


@compiled
def descent_ends(  # noqa: PLR0917
    gradient: Generated,
    constraints: Generated,
    size: Size,
    rates: tuple[float, float],
    velocities: Array,
    points: Array,
) -> None:
    """Replace each point by the end of w ← w − α∇L(w) + β (w − w₋), with `rates` (α, β).

    `velocities`, shape of the points, are the first w − w₋.
    """
    alpha, beta = rates
    slope = np.empty((1, points.shape[1]))
    for p in range(len(points)):
        point = points[p]
        velocity = velocities[p].copy()
        arrived, test = False, 0
        for k in range(DESCENT_STEPS):
            # Steps are far cheaper than the test, and steps too many change nothing.
            if k == test:
                test += max(STEPS_A_TEST, k // STEPS_IN_VAIN)
                # What is left of a velocity along Γ shifts the end by its own size.
                resting = beta * largest(velocity) <= ROUND_OFF * (largest(point) + 1e-3)
                arrived = resting and close(constraints, size, point)
                if arrived or not np.isfinite(largest(point)):
                    break
            gradient(points[p : p + 1], slope)
            for i in range(len(point)):
                velocity[i] = beta * velocity[i] - alpha * slope[0, i]
                point[i] += velocity[i]
        if not arrived:
            point[:] = np.nan
