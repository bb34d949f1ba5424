"""Γ at the points of a block: what `at_points` and `projections` do at one, lane by lane.

A number of each point is a row of `LANES` numbers, and loops over lanes become vector code. Every
lane sees its own numbers only: where one needs more rounds than another, the other waits with its
numbers unchanged. Rare cases (redundant constraints, L that is no sum of squares, Σ without a
factor) are left to the functions for one point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..random.lanes import LANES, multiply_add, wide_vectors
from .at_points import Layout, eigenframe, factor, second_order_drift
from .projections import NEWTON_STEPS, Generated, Size, at_rest, settle
from .small_matrices import INDEPENDENT, ROUND_OFF, SWEEPS, Array, apart, compiled, largest, put

Flags = NDArray[np.bool_]


@compiled
def put_in_lanes(by_point: Array, in_lanes: Array) -> None:
    """Copy numbers of shape (LANES, w) to shape (w, LANES)."""
    apart()
    wide_vectors()
    for e in range(len(in_lanes)):
        for b in range(LANES):
            in_lanes[e, b] = by_point[b, e]


@compiled
def dots(x: Array, y: Array) -> Array:
    """Inner products of vectors of shape (N, LANES)."""
    wide_vectors()
    out = np.zeros(LANES)
    for i in range(len(x)):
        multiply_add(out, 0, x, i, y, i)
    return out


@compiled
def add_multiples(out: Array, scale: Array, x: Array) -> None:
    """Add to each vector a multiple of x."""
    wide_vectors()
    for i in range(len(x)):
        multiply_add(out, i, scale, 0, x, i)


@compiled
def rotate_rows(rows: Array) -> Array:
    """Make rows, shape (K, N, LANES), orthogonal in place, as `small_matrices.rotate_rows`.

    Returns the squares of their lengths, shape (K, LANES).
    """
    apart()
    wide_vectors()
    count, n = rows.shape[:2]
    squares = np.empty((count, LANES))
    floor, cosine, sine = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for _ in range(SWEEPS):
        for b in range(LANES):
            floor[b] = 0.0
        for p in range(count):
            inner = dots(rows[p], rows[p])
            for b in range(LANES):
                squares[p, b] = inner[b]
                floor[b] = max(floor[b], ROUND_OFF**2 * squares[p, b])
        rotations = 0
        for p in range(count - 1):
            for q in range(p + 1, count):
                inner = dots(rows[p], rows[q])
                turned = 0
                for b in range(LANES):
                    first, second = squares[p, b], squares[q, b]
                    turns = abs(inner[b]) > ROUND_OFF * np.sqrt(first * second)
                    turns = turns and min(first, second) > floor[b]
                    zeta = (second - first) / (2 * inner[b])
                    tangent = np.copysign(1 / (abs(zeta) + np.sqrt(1 + zeta * zeta)), zeta)
                    c = 1 / np.sqrt(1 + tangent * tangent)
                    cosine[b] = c if turns else 1.0
                    sine[b] = c * tangent if turns else 0.0
                    squares[p, b] = first - tangent * inner[b] if turns else first
                    squares[q, b] = second + tangent * inner[b] if turns else second
                    turned += turns
                rotations += turned
                if turned == 0:
                    continue
                for i in range(n):
                    for b in range(LANES):
                        x, y = rows[p, i, b], rows[q, i, b]
                        rows[p, i, b] = cosine[b] * x - sine[b] * y
                        rows[q, i, b] = sine[b] * x + cosine[b] * y
        if rotations == 0:
            break
    return squares


@compiled
def eigenframes(given: Array, values: Array, lay: Layout) -> tuple[Array, Array]:
    """Non-zero eigenvalues of H, shape (K, LANES), and eigenvectors, shape (K, N, LANES).

    Their order is any. `given` holds the rows of values of the points, `values` the same in lanes.
    """
    apart()
    wide_vectors()
    rank, n = lay.rank, lay.dimension
    basis = np.empty((rank, n, LANES))
    if lay.squares and lay.rows == rank:
        for a in range(rank):
            for i in range(n):
                for b in range(LANES):
                    basis[a, i, b] = values[a * n + i, b]
        curvatures = rotate_rows(basis)
        inverse = np.empty(LANES)
        for a in range(rank):
            for b in range(LANES):
                inverse[b] = 1 / np.sqrt(curvatures[a, b])
            for i in range(n):
                for b in range(LANES):
                    basis[a, i, b] *= inverse[b]
        return curvatures, basis
    curvatures = np.empty((rank, LANES))
    for b in range(LANES):
        eigenvalues, vectors = eigenframe(given[b], lay)
        for a in range(rank):
            curvatures[a, b] = eigenvalues[a]
            for i in range(n):
                basis[a, i, b] = vectors[a, i]
    return curvatures, basis


@compiled
def factors(given: Array, values: Array, lay: Layout) -> Array:
    """Entries of S in lanes."""
    apart()
    if lay.factored:
        return values[lay.noise_at : lay.slope_at]
    noise = np.empty((len(lay.entries), LANES))
    for b in range(LANES):
        one = factor(given[b], lay)
        for e in range(len(noise)):
            noise[e, b] = one[e]
    return noise


@compiled
def third(values: Array, lay: Layout, x: Array, y: Array) -> Array:
    """D³L[Σ_q x_q y_qᵀ + y_q x_qᵀ], shape (N, LANES), for x and y of shape (·, N, LANES)."""
    apart()
    n, second, terms = lay.dimension, lay.second, lay.terms
    start = lay.rows * n
    out, entry = np.zeros((n, LANES)), np.empty(LANES)
    if not lay.squares:
        start += len(second)
        for t in range(len(terms)):
            put_entry(x, y, terms[t, 1], terms[t, 2], entry)
            multiply_add(out, terms[t, 3], values, start + terms[t, 0], entry, 0)
        return out
    rows = values[:start].reshape(lay.rows, n, LANES)
    image, trace = np.zeros((lay.rows, n, LANES)), np.zeros((lay.rows, LANES))
    for a in range(lay.rows):
        for q in range(len(x)):
            add_multiples(image[a], dots(rows[a], y[q]), x[q])
            add_multiples(image[a], dots(rows[a], x[q]), y[q])
        for i in range(n):
            for b in range(LANES):
                image[a, i, b] *= 2
    for e in range(len(second)):
        a, i, j = second[e, 0], second[e, 1], second[e, 2]
        put_entry(x, y, i, j, entry)
        multiply_add(trace, a, values, start + e, entry, 0)
        multiply_add(out, i, values, start + e, image, a * n + j)
        if i != j:
            put_entry(x, y, j, i, entry)
            multiply_add(trace, a, values, start + e, entry, 0)
            multiply_add(out, j, values, start + e, image, a * n + i)
    for a in range(lay.rows):
        add_multiples(out, trace[a], rows[a])
    return out


@compiled
def put_entry(x: Array, y: Array, i: int, j: int, entry: Array) -> None:
    """Entry (i, j) of Σ_q x_q y_qᵀ + y_q x_qᵀ."""
    n = x.shape[1]
    for b in range(LANES):
        entry[b] = 0.0
    for q in range(len(x)):
        multiply_add(entry, 0, x, q * n + i, y, q * n + j)
        multiply_add(entry, 0, y, q * n + i, x, q * n + j)


@compiled
def bends(values: Array, lay: Layout, curvatures: Array, basis: Array, noise: Array) -> Array:
    """D³L[…] with P D²Φ_α[Σ] = −P D³L[…], as in `at_points.tangential_second_derivative`."""
    apart()
    wide_vectors()
    rank, n, entries = lay.rank, lay.dimension, lay.entries
    across = np.zeros((rank, lay.columns, LANES))
    for e in range(len(entries)):
        i, m = entries[e, 0], entries[e, 1]
        for a in range(rank):
            multiply_add(across, a * lay.columns + m, noise, e, basis, a * n + i)
    beside = np.zeros((rank, n, LANES))
    weight, inverse = np.empty(LANES), np.empty(LANES)
    for a in range(rank):
        for e in range(len(entries)):
            i, m = entries[e, 0], entries[e, 1]
            multiply_add(beside, a * n + i, noise, e, across, a * lay.columns + m)
        for b in range(LANES):
            first = curvatures[a, b]
            inverse[b] = 1 / (first + lay.dephasing * first * first)
        for i in range(n):
            for b in range(LANES):
                beside[a, i, b] *= inverse[b]
        for c in range(rank):
            inner = dots(across[a], across[c])
            for b in range(LANES):
                first, second = curvatures[a, b], curvatures[c, b]
                rate = first + second - lay.damping * first * second
                rate += lay.dephasing * (first - second) ** 2
                if lay.order > 0:
                    total = first + second
                    relaxed = (1 - rate / total) ** lay.order / total
                else:
                    relaxed = 1 / rate
                weight[b] = (0.5 * relaxed - inverse[b]) * inner[b]
            add_multiples(beside[a], weight, basis[c])
    return third(values, lay, basis, beside)


@compiled
def increments(given: Array, lay: Layout, kick: Array, span: float) -> tuple[Array, Array]:
    """Tangential increments c P S ΔB + P b h, and the smallest non-zero eigenvalues of H.

    Parameters
    ----------
    given : ndarray, shape (LANES, w)
        The rows of values of the points.
    lay : Layout
    kick : ndarray, shape (m, LANES)
        ΔB.
    span : float
        h.

    Returns
    -------
    moved : ndarray, shape (N, LANES)
    smallest : ndarray, shape (LANES,)
    """
    apart()
    wide_vectors()
    values = np.empty((given.shape[1], LANES))
    put_in_lanes(given, values)
    curvatures, basis = eigenframes(given, values, lay)
    noise, entries = factors(given, values, lay), lay.entries
    moved = np.zeros((lay.dimension, LANES))
    for e in range(len(entries)):
        multiply_add(moved, entries[e, 0], noise, e, kick, entries[e, 1])
    for i in range(lay.dimension):
        for b in range(LANES):
            moved[i, b] = lay.noise * moved[i, b] - span * values[lay.slope_at + i, b]
    if lay.ito != 0:
        bent = bends(values, lay, curvatures, basis, noise)
        for i in range(lay.dimension):
            for b in range(LANES):
                moved[i, b] -= span * lay.ito * bent[i, b]
    smallest = np.empty(LANES)
    for a in range(lay.rank):
        along = dots(basis[a], moved)
        for b in range(LANES):
            along[b] = -along[b]
            smallest[b] = min(smallest[b], curvatures[a, b]) if a > 0 else curvatures[a, b]
        add_multiples(moved, along, basis[a])
    if lay.second_weight != 0:
        for b in range(LANES):
            frame = eigenframe(given[b], lay)
            more = second_order_drift(given[b], lay, frame)
            for i in range(lay.dimension):
                moved[i, b] += span * lay.second_weight * more[i]
    return moved, smallest


@compiled
def solve_by_gram(rows: Array, right: Array, solved: Flags) -> Array:
    """J⁺ f, shape (N, LANES), as `small_matrices.solve_by_gram`; `solved` says where it holds."""
    apart()
    wide_vectors()
    count = len(rows)
    lower, z = np.empty((count, count, LANES)), np.empty((count, LANES))
    entry = np.empty(LANES)
    for b in range(LANES):
        solved[b] = True
    for a in range(count):
        for b in range(LANES):
            z[a, b] = right[a, b]
        for c in range(a + 1):
            square = dots(rows[a], rows[c])
            for b in range(LANES):
                entry[b] = square[b]
            for d in range(c):
                for b in range(LANES):
                    entry[b] -= lower[a, d, b] * lower[c, d, b]
            for b in range(LANES):
                if c < a:
                    lower[a, c, b] = entry[b] / lower[c, c, b]
                    z[a, b] -= lower[a, c, b] * z[c, b]
                else:
                    solved[b] = solved[b] and entry[b] > INDEPENDENT * square[b]
                    lower[a, a, b] = np.sqrt(entry[b])
                    z[a, b] /= lower[a, a, b]
    return back_substituted(lower, z, rows)


@compiled
def back_substituted(lower: Array, z: Array, rows: Array) -> Array:
    """Jᵀ x for Lᵀ x = z, shape (N, LANES)."""
    solution = np.zeros((rows.shape[1], LANES))
    for a in range(len(rows) - 1, -1, -1):
        for c in range(a + 1, len(rows)):
            for b in range(LANES):
                z[a, b] -= lower[c, a, b] * z[c, b]
        for b in range(LANES):
            z[a, b] /= lower[a, a, b]
        add_multiples(solution, z[a], rows[a])
    return solution


@compiled
def settle_all(constraints: Generated, size: Size, points: Array, wanted: Flags) -> Flags:
    """Move the wanted points, shape (LANES, N), onto Γ in place, as `settle`; whether they are."""
    apart()
    n, (count, rank) = points.shape[1], size
    settled, solved = np.zeros(LANES, np.bool_), np.empty(LANES, np.bool_)
    moving, alone = np.empty(LANES, np.bool_), np.empty(LANES, np.bool_)
    start, before = points.copy(), np.zeros(LANES)
    left = 0
    for b in range(LANES):
        moving[b] = wanted[b] and count == rank
        alone[b] = wanted[b] and count != rank
        left += moving[b]
    given, values = np.empty((LANES, count * (1 + n))), np.empty((count * (1 + n), LANES))
    for _ in range(NEWTON_STEPS):
        if left == 0:
            break
        constraints(points, given)
        put_in_lanes(given, values)
        slopes = values[count:].reshape(count, n, LANES)
        step = solve_by_gram(slopes, values[:count], solved)
        for b in range(LANES):
            if not moving[b]:
                continue
            length, scale = 0.0, largest(points[b]) + 1e-300
            for i in range(n):
                length = length if abs(step[i, b]) <= length else abs(step[i, b])
                points[b, i] -= step[i, b]
            alone[b] = not solved[b]
            settled[b] = solved[b] and at_rest(length, before[b], scale)
            if alone[b] or settled[b] or not np.isfinite(largest(points[b])):
                moving[b] = False
                left -= 1
            before[b] = length
    for b in range(LANES):
        if alone[b]:
            put(points[b], start[b])
            settled[b] = settle(constraints, size, points[b])
    return settled
