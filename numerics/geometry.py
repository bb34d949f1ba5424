"""Γ at one point, in floating point: normal frame, third derivatives, D²Φ[Σ], retraction.

Each function is compiled once for all models. A model comes as a row of `values`, the numbers that
its generated function gives at a point, with a `Layout` that says what they are. Every point is
worked on by itself, so what runs beside it never changes a bit of the answer.

The formulas are those of `derive.katzenberger`, in an orthonormal eigenbasis of H and for
Σ = S Sᵀ. Symmetric N × N matrices stay factored as X Yᵀ + Y Xᵀ, and N³ entries are never formed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import float64, njit, typeof, types, void
from numpy.typing import NDArray

from .kernels import FAST

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

BATCH = types.FunctionType(void(float64[:, ::1], float64[:, ::1]))
"""A generated function (points, values), passed by address."""

SWEEPS = 60
"""Bound on the sweeps of Jacobi's method, which needs fewer than ten."""

ROUND_OFF = 4e-16

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath=set(FAST))


class Layout(NamedTuple):
    """What the row of values of a point holds, in this order.

    Attributes
    ----------
    dimension, rank : int
        N and K.
    rows : int
        Number of normal vectors that come first: ∇ρ_a for L = ½ Σ ρ_a², else the gradients of the
        constraints. They may be redundant.
    columns : int
        Columns of S, which comes after the derivatives of L; N for Σ itself.
    squares, factored : bool
        Whether L is a sum of squares, and whether S is given rather than Σ.
    second : ndarray of int, shape (·, 3)
        (a, i, j), i ≤ j: the next values are the ∂_i∂_jρ_a, or the ∂_i∂_jL (a = 0).
    thirds, terms : ndarrays of int
        Values (·,) ∂_i∂_j∂_kL follow; each term (e, a, b, c) adds value e times S_ab to
        (D³L[S])_c. Empty for squares.
    ito, noise, step : float
        Factors of D²Φ_step[Σ] and of P S, and the step size.
    """

    dimension: int
    rank: int
    rows: int
    columns: int
    squares: bool
    factored: bool
    second: Indices
    thirds: int
    terms: Indices
    ito: float
    noise: float
    step: float


def by_address(kernel: Any) -> Callable[..., Any]:
    """Make a compiled function take generated ones as arguments without being compiled anew."""

    def call(*arguments: Any) -> Any:
        kinds = tuple(BATCH if hasattr(a, "py_func") else typeof(a) for a in arguments)
        return kernel.compile(kinds)(*arguments)

    return call


@compiled
def dot(x: Array, y: Array) -> float:
    """x · y."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@compiled
def add(out: Array, scale: float, x: Array) -> None:
    """Add a multiple of x to `out`."""
    for i in range(len(x)):
        out[i] += scale * x[i]


@compiled
def rotate_rows(rows: Array, carried: Array) -> Array:
    """Make rows orthogonal to each other by plane rotations (one-sided Jacobi), in place.

    They end up as σ_a v_aᵀ, with singular values σ_a and right singular vectors v_a, to high
    relative accuracy. `carried`, one number a row, is rotated with them. Returns σ².
    """
    count = len(rows)
    squares = np.empty(count)
    for _ in range(SWEEPS):
        for p in range(count):
            squares[p] = dot(rows[p], rows[p])
        negligible = ROUND_OFF**2 * np.max(squares)
        settled = True
        for p in range(count - 1):
            for q in range(p + 1, count):
                inner = dot(rows[p], rows[q])
                if (
                    abs(inner) <= ROUND_OFF * np.sqrt(squares[p] * squares[q])
                    or min(squares[p], squares[q]) <= negligible
                ):
                    continue
                settled = False
                zeta = (squares[q] - squares[p]) / (2 * inner)
                tangent = np.copysign(1 / (abs(zeta) + np.sqrt(1 + zeta * zeta)), zeta)
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                sine = cosine * tangent
                for i in range(rows.shape[1]):
                    x, y = rows[p, i], rows[q, i]
                    rows[p, i] = cosine * x - sine * y
                    rows[q, i] = sine * x + cosine * y
                x, y = carried[p], carried[q]
                carried[p], carried[q] = cosine * x - sine * y, sine * x + cosine * y
                squares[p] -= tangent * inner
                squares[q] += tangent * inner
        if settled:
            break
    return squares


@compiled
def singular_rows(rows: Array, rank: int) -> tuple[Array, Array]:
    """Largest singular values, descending, and their right singular vectors as rows."""
    turned = rows.copy()
    squares = rotate_rows(turned, np.zeros(len(rows)))
    values, basis = np.empty(rank), np.empty((rank, rows.shape[1]))
    for a in range(rank):
        largest = np.argmax(squares)
        values[a] = np.sqrt(squares[largest])
        for i in range(rows.shape[1]):
            basis[a, i] = turned[largest, i] / values[a] if values[a] > 0 else 0.0
        squares[largest] = -1.0
    return values, basis


@compiled
def least_norm_solution(rows: Array, right: Array, rank: int) -> Array:
    """J⁺ f for the rows J of known rank."""
    turned, carried = rows.copy(), right.copy()
    squares = rotate_rows(turned, carried)
    solution = np.zeros(rows.shape[1])
    for _ in range(rank):
        largest = np.argmax(squares)
        if squares[largest] > 0:
            add(solution, carried[largest] / squares[largest], turned[largest])
        squares[largest] = -1.0
    return solution


@compiled
def eigenframe(values: Array, lay: Layout) -> tuple[Array, Array]:
    """Non-zero eigenvalues of H (K,), descending, and orthonormal eigenvectors as rows (K, N)."""
    rows = values[: lay.rows * lay.dimension].reshape(lay.rows, lay.dimension)
    lengths, basis = singular_rows(rows, lay.rank)
    if lay.squares:
        return lengths * lengths, basis
    image = np.zeros((lay.rank, lay.dimension))
    start = lay.rows * lay.dimension
    for e in range(len(lay.second)):
        i, j = lay.second[e, 1], lay.second[e, 2]
        for a in range(lay.rank):
            image[a, i] += values[start + e] * basis[a, j]
            if i != j:
                image[a, j] += values[start + e] * basis[a, i]
    restricted = np.empty((lay.rank, lay.rank))
    for a in range(lay.rank):
        for b in range(lay.rank):
            restricted[a, b] = dot(image[a], basis[b])
    curvatures, mixing = singular_rows(restricted, lay.rank)
    turned = np.zeros_like(basis)
    for a in range(lay.rank):
        for b in range(lay.rank):
            add(turned[a], mixing[a, b], basis[b])
    return curvatures, turned


@compiled
def normal_part(basis: Array, columns: Array) -> Array:
    """V S, shape (K, m)."""
    part = np.zeros((len(basis), columns.shape[1]))
    for a in range(len(basis)):
        for i in range(len(columns)):
            for m in range(columns.shape[1]):
                part[a, m] += basis[a, i] * columns[i, m]
    return part


@compiled
def from_normal(basis: Array, part: Array) -> Array:
    """Vᵀ Y, shape (N, m)."""
    columns = np.zeros((basis.shape[1], part.shape[1]))
    for a in range(len(basis)):
        for i in range(len(columns)):
            for m in range(part.shape[1]):
                columns[i, m] += basis[a, i] * part[a, m]
    return columns


@compiled
def tangential(basis: Array, vector: Array) -> Array:
    """P v."""
    along = vector.copy()
    for a in range(len(basis)):
        add(along, -dot(basis[a], vector), basis[a])
    return along


@compiled
def factor(values: Array, lay: Layout) -> Array:
    """S with S Sᵀ = Σ, shape (N, m); the symmetric root where only Σ is known."""
    n = lay.dimension
    start = lay.rows * n + len(lay.second) + lay.thirds
    columns = values[start : start + n * lay.columns].reshape(n, lay.columns)
    if lay.factored:
        return columns
    variances, axes = singular_rows(columns, n)
    root = np.zeros((n, n))
    for a in range(n):
        for i in range(n):
            add(root[i], np.sqrt(variances[a]) * axes[a, i], axes[a])
    return root


@compiled
def third(values: Array, lay: Layout, x: Array, y: Array) -> Array:
    """D³L[T] for T = X Yᵀ + Y Xᵀ, with X and Y of shape (N, q)."""
    out = np.zeros(lay.dimension)
    start = lay.rows * lay.dimension
    if not lay.squares:
        start += len(lay.second)
        for e, a, b, c in lay.terms:
            entry = dot(x[a], y[b]) + dot(y[a], x[b])
            out[c] += values[start + e] * entry
        return out
    # Σ_a (2 ∇²ρ_a T ∇ρ_a + tr(∇²ρ_a T) ∇ρ_a)
    rows = values[:start].reshape(lay.rows, lay.dimension)
    along_x, along_y = normal_part(rows, x), normal_part(rows, y)
    image, trace = np.empty_like(rows), np.zeros(lay.rows)
    for a in range(lay.rows):
        for i in range(lay.dimension):
            image[a, i] = dot(x[i], along_y[a]) + dot(y[i], along_x[a])
    for e in range(len(lay.second)):
        a, i, j = lay.second[e]
        value = 2 * values[start + e]
        out[i] += value * image[a, j]
        if i != j:
            out[j] += value * image[a, i]
            trace[a] += value * (dot(x[i], y[j]) + dot(y[i], x[j]))
        else:
            trace[a] += value * dot(x[i], y[i])
    for a in range(lay.rows):
        add(out, trace[a], rows[a])
    return out


@compiled
def tangential_second_derivative(
    values: Array, lay: Layout, curvatures: Array, basis: Array, columns: Array, along: Array
) -> Array:
    """P D²Φ_step[Σ] = −P D³L[H⁺ΣP + PΣH⁺ + ℒ⁻¹(QΣQ)], shape (N,)."""
    across = normal_part(basis, columns)
    stationary = np.zeros((lay.rank, lay.rank))
    scaled = np.empty_like(across)
    for a in range(lay.rank):
        scaled[a] = across[a] / curvatures[a]
        for b in range(lay.rank):
            rate = curvatures[a] + curvatures[b] - lay.step * curvatures[a] * curvatures[b]
            stationary[a, b] = 0.5 * dot(across[a], across[b]) / rate
    x = np.empty((lay.dimension, lay.columns + lay.rank))
    y = np.empty_like(x)
    x[:, : lay.columns], y[:, : lay.columns] = from_normal(basis, scaled), along
    x[:, lay.columns :], y[:, lay.columns :] = from_normal(basis, stationary), basis.T
    return -tangential(basis, third(values, lay, x, y))


@compiled
def normal_second_derivative(
    values: Array, lay: Layout, curvatures: Array, basis: Array, along: Array
) -> Array:
    """Q D²Φ[Σ] = −H⁺ D³L[PΣP] for P S = `along`, shape (N,)."""
    slope = third(values, lay, 0.5 * along, along)
    out = np.zeros(lay.dimension)
    for a in range(lay.rank):
        add(out, -dot(basis[a], slope) / curvatures[a], basis[a])
    return out


@compiled
def coefficients(
    values: Array, lay: Layout, curvatures: Array, basis: Array
) -> tuple[Array, Array, Array]:
    """The limiting equation at a point: P b and Q b, each (N,), and s, shape (N, m).

    b = −P v + ito · D²Φ_step[Σ] and s = noise · P S.
    """
    columns = factor(values, lay)
    along = columns - from_normal(basis, normal_part(basis, columns))
    drift = -tangential(basis, values[len(values) - lay.dimension :])
    bend = np.zeros(lay.dimension)
    if lay.ito != 0:
        drift += lay.ito * tangential_second_derivative(
            values, lay, curvatures, basis, columns, along
        )
        bend += lay.ito * normal_second_derivative(values, lay, curvatures, basis, along)
    return drift, bend, lay.noise * along


@compiled
def drifts(values: Array, lay: Layout, out: Array) -> None:
    """b at each of many points."""
    for p in range(len(values)):
        curvatures, basis = eigenframe(values[p], lay)
        along, bend, _ = coefficients(values[p], lay, curvatures, basis)
        out[p] = along + bend


@compiled
def diffusions(values: Array, lay: Layout, out: Array) -> None:
    """s at each of many points."""
    for p in range(len(values)):
        curvatures, basis = eigenframe(values[p], lay)
        out[p] = coefficients(values[p], lay, curvatures, basis)[2]


@compiled
def projectors(values: Array, lay: Layout, out: Array) -> None:
    """P at each of many points."""
    for p in range(len(values)):
        out[p] = np.eye(lay.dimension)
        for row in eigenframe(values[p], lay)[1]:
            out[p] -= np.outer(row, row)


@compiled
def spectra(values: Array, lay: Layout, out: Array) -> None:
    """Non-zero eigenvalues of H, ascending, at each of many points."""
    for p in range(len(values)):
        out[p] = eigenframe(values[p], lay)[0][::-1]
