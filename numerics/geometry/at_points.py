"""Γ at one point, in floating point: normal frame, third derivatives, D²Φ[Σ], retraction.

Each function is compiled once for all models. A model comes as a row of `values`, the numbers that
its generated function gives at a point, with a `Layout` that says what they are. Every point is
worked on by itself, so what runs beside it never changes a bit of the answer.

The formulas are those of `derive.theory.katzenberger` and `derive.theory.second_order`, in an
orthonormal eigenbasis of H and for Σ = S Sᵀ. Symmetric N × N matrices stay factored as
X Yᵀ + Y Xᵀ, and N³ entries are never formed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codegen.kernels import compiled
from .small_matrices import ROUND_OFF, Array, add, apart, dot, put, singular_rows

Indices = NDArray[np.int64]
Frame = tuple[Array, Array]
"""Non-zero eigenvalues of H (K,) and orthonormal eigenvectors as rows (K, N)."""


class Layout(NamedTuple):
    """What the row of values of a point holds, and the numbers of the equation.

    The values are, in this order: `rows` vectors of length N, which span the normal space, the
    derivatives of L that `second` and `thirds` speak of, entries of S, v, and, where κ₂ ≠ 0, ∇Reg,
    the entries `bend` of ∇²Reg, and ∇Reg₂.

    Attributes
    ----------
    dimension, rank : int
        N and K.
    rows : int
        For L = ½ Σ ρ_a² the vectors are the ∇ρ_a, else the gradients of the constraints. They
        may be redundant.
    squares : bool
        Whether L is such a sum.
    second : ndarray of int, shape (·, 3)
        (a, i, j), i ≤ j: the values are the ∂_i∂_jρ_a, or the ∂_i∂_jL (a = 0).
    thirds : int
        Number of values ∂_i∂_j∂_kL; none for squares.
    terms : ndarray of int, shape (·, 4)
        (e, a, b, c): the e-th of them times S_ab is part of (D³L[S])_c.
    columns : int
        Columns of S; N where it is Σ itself.
    entries : ndarray of int, shape (·, 2)
        (i, m): the values of S, or of Σ, are these; it is zero elsewhere.
    factored : bool
        Whether it is S.
    bend : ndarray of int, shape (·, 2)
        (i, j), i ≤ j.
    noise_at, slope_at, next_at : int
        Where S, v and ∇Reg start.
    ito, noise, second_weight : float
        The factors q of D²Φ_α[Σ], c of P S and κ₂ of P r.
    damping, dephasing : float
        τ and γ of the operator ℒ, see `derive.theory.katzenberger.Relaxation`.
    order : float
        j ≥ 1 for the coefficient of αʲ of ℒ⁻¹ in its place, else 0.
    """

    dimension: int
    rank: int
    rows: int
    squares: bool
    second: Indices
    thirds: int
    terms: Indices
    columns: int
    entries: Indices
    factored: bool
    bend: Indices
    noise_at: int
    slope_at: int
    next_at: int
    ito: float
    noise: float
    second_weight: float
    damping: float
    dephasing: float
    order: float


@compiled
def eigenframe(values: Array, lay: Layout) -> Frame:
    """Non-zero eigenvalues of H (K,), descending, and orthonormal eigenvectors as rows (K, N)."""
    apart()
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
def times(noise: Array, lay: Layout, x: Array) -> Array:
    """S x, shape (N,), for the entries `noise` of S."""
    apart()
    out, entries = np.zeros(lay.dimension), lay.entries
    for e in range(len(noise)):
        out[entries[e, 0]] += noise[e] * x[entries[e, 1]]
    return out


@compiled
def normal_part(basis: Array, noise: Array, lay: Layout) -> Array:
    """V S, shape (K, m)."""
    apart()
    part, entries = np.zeros((len(basis), lay.columns)), lay.entries
    for e in range(len(noise)):
        i, m = entries[e, 0], entries[e, 1]
        for a in range(len(basis)):
            part[a, m] += noise[e] * basis[a, i]
    return part


@compiled
def tangential(basis: Array, vector: Array) -> Array:
    """P v."""
    apart()
    along = vector.copy()
    for a in range(len(basis)):
        add(along, -dot(basis[a], vector), basis[a])
    return along


@compiled
def factor(values: Array, lay: Layout) -> Array:
    """Entries of S with S Sᵀ = Σ; of the symmetric root where only Σ is known."""
    apart()
    n = lay.dimension
    given = values[lay.noise_at : lay.slope_at]
    if lay.factored:
        return given
    variances, axes = singular_rows(given.reshape(n, n), n)
    root = np.zeros((n, n))
    for a in range(n):
        # The root of round-off is not round-off.
        if variances[a] > n * ROUND_OFF * variances[0]:
            for i in range(n):
                add(root[i], np.sqrt(variances[a]) * axes[a, i], axes[a])
    return root.reshape(n * n)


@compiled
def third(values: Array, lay: Layout, x: Array, y: Array) -> Array:
    """D³L[T] for T = Σ_q x_q y_qᵀ + y_q x_qᵀ, with vectors x_q and y_q as rows, shape (·, N)."""
    apart()
    out = np.zeros(lay.dimension)
    start = lay.rows * lay.dimension
    second, terms = lay.second, lay.terms
    if not lay.squares:
        start += len(second)
        for t in range(len(terms)):
            entry = both_ways(x, y, terms[t, 1], terms[t, 2])
            out[terms[t, 3]] += values[start + terms[t, 0]] * entry
        return out
    # Σ_a (2 ∇²ρ_a T ∇ρ_a + tr(∇²ρ_a T) ∇ρ_a)
    rows = values[:start].reshape(lay.rows, lay.dimension)
    image, trace = np.zeros_like(rows), np.zeros(lay.rows)
    for a in range(lay.rows):
        for q in range(len(x)):
            add(image[a], dot(rows[a], y[q]), x[q])
            add(image[a], dot(rows[a], x[q]), y[q])
    for e in range(len(second)):
        a, i, j = second[e, 0], second[e, 1], second[e, 2]
        value = values[start + e]
        out[i] += 2 * value * image[a, j]
        trace[a] += value * both_ways(x, y, i, j)
        if i != j:
            out[j] += 2 * value * image[a, i]
            trace[a] += value * both_ways(x, y, j, i)
    for a in range(lay.rows):
        add(out, trace[a], rows[a])
    return out


@compiled
def both_ways(x: Array, y: Array, i: int, j: int) -> float:
    """Entry (i, j) of Σ_q x_q y_qᵀ + y_q x_qᵀ."""
    entry = 0.0
    for q in range(len(x)):
        entry += x[q, i] * y[q, j] + y[q, i] * x[q, j]
    return entry


@compiled
def response(lay: Layout, first: float, second: float) -> float:
    """Eigenvalue of ℒ⁻¹ for a pair of eigenvalues of H."""
    rate = first + second - lay.damping * first * second
    rate += lay.dephasing * (first - second) ** 2
    if lay.order > 0:
        total = first + second
        return (1 - rate / total) ** lay.order / total
    return 1 / rate


@compiled
def tangential_second_derivative(values: Array, lay: Layout, frame: Frame, noise: Array) -> Array:
    """P D²Φ_α[Σ] = −P D³L[H⁺ΣP + PΣH⁺ + ℒ⁻¹(QΣQ)] for the entries `noise` of S.

    With the eigenvectors v_a the argument is Σ_a v_a y_aᵀ + y_a v_aᵀ, where
    y_a = P S Sᵀv_a/λ_a + Σ_b ½ (ℒ⁻¹)_ab v_bᵀS Sᵀv_a v_b and P = 1 − Σ_b v_b v_bᵀ.
    """
    apart()
    curvatures, basis = frame
    across = normal_part(basis, noise, lay)
    beside = np.empty_like(basis)
    for a in range(lay.rank):
        first = curvatures[a]
        inverse = 1 / (first + lay.dephasing * first * first)
        put(beside[a], inverse * times(noise, lay, across[a]))
        for b in range(lay.rank):
            second = curvatures[b]
            relaxed = response(lay, first, second)
            add(beside[a], (0.5 * relaxed - inverse) * dot(across[a], across[b]), basis[b])
    return -tangential(basis, third(values, lay, basis, beside))


@compiled
def inverse_hessian(frame: Frame, vector: Array) -> Array:
    """H⁺ v."""
    apart()
    curvatures, basis = frame
    out = np.zeros(basis.shape[1])
    for a in range(len(basis)):
        add(out, dot(basis[a], vector) / curvatures[a], basis[a])
    return out


@compiled
def normal_second_derivative(values: Array, lay: Layout, frame: Frame, along: Array) -> Array:
    """Q D²Φ[Σ] = −H⁺ D³L[PΣP] for the columns `along` of P S, shape (N,)."""
    return -inverse_hessian(frame, third(values, lay, 0.5 * along, along))


@compiled
def second_order_drift(values: Array, lay: Layout, frame: Frame) -> Array:
    """−P r, r = ∇Reg₂ + ∇²Reg δ + D³L[½ δδᵀ − sym(H⁺δ (P∇Reg)ᵀ)], δ = −H⁺∇Reg, shape (N,)."""
    apart()
    n = lay.dimension
    slope = values[lay.next_at : lay.next_at + n]
    offset = -inverse_hessian(frame, slope)
    across, along = inverse_hessian(frame, offset), tangential(frame[1], slope)
    x, y = np.empty((2, n)), np.empty((2, n))
    for i in range(n):
        x[0, i], y[0, i] = 0.25 * offset[i], offset[i]
        x[1, i], y[1, i] = -0.5 * across[i], along[i]
    rest = third(values, lay, x, y)
    add(rest, 1.0, values[lay.next_at + n + len(lay.bend) :])
    for e in range(len(lay.bend)):
        i, j = lay.bend[e, 0], lay.bend[e, 1]
        value = values[lay.next_at + n + e]
        rest[i] += value * offset[j]
        if i != j:
            rest[j] += value * offset[i]
    return -tangential(frame[1], rest)


@compiled
def tangential_drift(values: Array, lay: Layout, frame: Frame, noise: Array) -> Array:
    """P b = −P v − κ₂ P r + q P D²Φ_α[Σ], shape (N,)."""
    apart()
    drift = -tangential(frame[1], values[lay.slope_at : lay.slope_at + lay.dimension])
    if lay.ito != 0:
        correction = tangential_second_derivative(values, lay, frame, noise)
        add(drift, lay.ito, correction)
    if lay.second_weight != 0:
        add(drift, lay.second_weight, second_order_drift(values, lay, frame))
    return drift


@compiled
def tangential_factor(frame: Frame, lay: Layout, noise: Array) -> Array:
    """Columns of P S as rows, shape (m, N)."""
    basis = frame[1]
    along, part = np.zeros((lay.columns, lay.dimension)), normal_part(basis, noise, lay)
    for e in range(len(noise)):
        along[lay.entries[e, 1], lay.entries[e, 0]] = noise[e]
    for m in range(lay.columns):
        for a in range(lay.rank):
            add(along[m], -part[a, m], basis[a])
    return along


@compiled
def equations(values: Array, lay: Layout, drift: Array, diffusion: Array) -> None:
    """Itô drift b and diffusion s = c P S at each of many points."""
    for p in range(len(values)):
        frame = eigenframe(values[p], lay)
        noise = factor(values[p], lay)
        put(drift[p], tangential_drift(values[p], lay, frame, noise))
        along = tangential_factor(frame, lay, noise)
        if lay.ito != 0:
            add(drift[p], lay.ito, normal_second_derivative(values[p], lay, frame, along))
        for i in range(lay.dimension):
            for m in range(lay.columns):
                diffusion[p, i, m] = lay.noise * along[m, i]


@compiled
def fluctuations(values: Array, lay: Layout, bases: Array, covariances: Array) -> None:
    """Eigenvectors v_a of H and the entries v_aᵀXv_b of X = ℒ⁻¹(QΣQ) at each of many points."""
    for p in range(len(values)):
        curvatures, basis = eigenframe(values[p], lay)
        across = normal_part(basis, factor(values[p], lay), lay)
        put(bases[p].ravel(), basis.ravel())
        for a in range(lay.rank):
            for b in range(lay.rank):
                relaxed = response(lay, curvatures[a], curvatures[b])
                covariances[p, a, b] = relaxed * dot(across[a], across[b])


@compiled
def frames(values: Array, lay: Layout, curvatures: Array, bases: Array) -> None:
    """Non-zero eigenvalues of H, descending, and their eigenvectors at each of many points."""
    for p in range(len(values)):
        eigenvalues, basis = eigenframe(values[p], lay)
        put(curvatures[p], eigenvalues)
        put(bases[p].ravel(), basis.ravel())
