"""How minibatch noise lies in the landscape: the two alignments of Wang and Wu, from arrays.

With residuals r_i = f_i − y_i, losses ℓ_i = r_i²/2 and gradients j_i = ∇f_i of the model,

    L = (1/n) Σ ℓ_i,   𝒢 = (1/n) Σ j_i j_iᵀ,   Σ = (1/n) Σ r_i² j_i j_iᵀ − ∇L ∇Lᵀ.

Every quantity is written as means over samples, so that no N × N matrix is needed: with
q_i = j_iᵀ 𝒢 j_i, for one, ‖𝒢‖_F² = mean(q) and tr(Σ𝒢) = mean(r² q) − mean((J∇L)²).

At given gradients μ is a quotient of quadratic forms in r, and g one in Jv, so that the least and
the greatest are eigenvalues. In a linear model f_i = x_i·F(w) both residuals and directions range
over combinations of the inputs: with inputs z_i of mean zzᵀ = I and unit vectors u, v, g is

    mean((u·z)² (v·z)²) − (u·v)²,

whatever F is, and μ is a mean of its values (over v). Over Gaussian inputs it is 1 + (u·v)².

References
----------
Wang, Wu, arXiv 2310.00692, Definitions 3.1 and 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ArgumentError

RELATIVE_RANK = 1e-10
"""Eigenvalues of 𝒢 below this multiple of the largest are taken for zero."""

TURNS = 500
GAIN = 1e-12
"""Turns of the search for extremes end where one gains less than this."""


@dataclass(frozen=True)
class PrincipalAlignments:
    """Alignment along the eigenvectors u_k of 𝒢 with non-zero eigenvalues.

    Attributes
    ----------
    curvatures : ndarray, shape (K,)
        Eigenvalues λ_k of 𝒢, largest first.
    energies : ndarray, shape (K,)
        α_k = u_kᵀ Σ u_k / 2L, the noise energy along u_k.
    """

    curvatures: NDArray[np.float64]
    energies: NDArray[np.float64]

    @property
    def alignments(self) -> NDArray[np.float64]:
        """g(u_k) = α_k / λ_k, shape (K,)."""
        return self.energies / self.curvatures


@dataclass(frozen=True)
class Extremes:
    """Least and greatest value of an alignment over what it was sought over."""

    least: float
    greatest: float


def loss_alignment(jacobian: ArrayLike, residuals: ArrayLike) -> float:
    """Loss alignment μ = tr(Σ𝒢) / (2L ‖𝒢‖_F²).

    Parameters
    ----------
    jacobian : array_like, shape (n, N)
        Gradients of the model in its weights, one row per sample.
    residuals : array_like, shape (n,)
        Model values minus targets; not all zero.

    Returns
    -------
    float
        In time O(nN min(n, N)), with min(n, N)² numbers stored.

    Raises
    ------
    ArgumentError
        If the shapes disagree, or the loss or 𝒢 is zero (μ is undefined there).
    """
    j, r = _checked(jacobian, residuals)
    curvature = _curvature_of_samples(j)
    if not curvature.any():
        raise ArgumentError("jacobian: 𝒢 is zero, so that μ is undefined; use another point")
    slope = j @ (r @ j) / len(r)
    aligned = np.mean(r**2 * curvature) - np.mean(slope**2)
    return float(aligned / (np.mean(r**2) * np.mean(curvature)))


def directional_alignment(
    jacobian: ArrayLike, residuals: ArrayLike, directions: ArrayLike
) -> NDArray[np.float64]:
    """Directional alignment g(v) = vᵀΣv / (2L vᵀ𝒢v).

    Parameters
    ----------
    jacobian : array_like, shape (n, N)
    residuals : array_like, shape (n,)
        Not all zero.
    directions : array_like, shape (..., N)
        Vectors v of any length.

    Returns
    -------
    ndarray, shape (...)
        NaN for a direction in the kernel of 𝒢, where there is neither noise nor curvature.

    Raises
    ------
    ArgumentError
        If the shapes disagree or the loss is zero.
    """
    j, r = _checked(jacobian, residuals)
    v = np.asarray(directions, dtype=float)
    if v.shape[-1:] != j.shape[1:]:
        raise ArgumentError(
            f"directions: expected shape (..., {j.shape[1]}), one entry per weight, got {v.shape}"
        )
    along = v @ j.T
    noise = np.mean(r**2 * along**2, axis=-1) - np.mean(r * along, axis=-1) ** 2
    curvature = np.mean(along**2, axis=-1)
    rounding = np.finfo(float).eps * np.linalg.norm(v, axis=-1) * np.linalg.norm(j)
    seen = np.sqrt(len(r) * curvature) > rounding
    return np.where(seen, noise / np.where(seen, np.mean(r**2) * curvature, 1.0), np.nan)


def principal_alignments(jacobian: ArrayLike, residuals: ArrayLike) -> PrincipalAlignments:
    """Noise energies along the eigenvectors of 𝒢, from the n × n matrix J Jᵀ alone.

    With J Jᵀ/n = Σ_k λ_k q_k q_kᵀ, the eigenvectors of 𝒢 are u_k ∝ Jᵀ q_k, and
    2L g(u_k) = Σ_i r_i² q_ki² − (r·q_k)²/n.

    Parameters
    ----------
    jacobian : array_like, shape (n, N)
    residuals : array_like, shape (n,)
        Not all zero.

    Returns
    -------
    PrincipalAlignments
        One entry a non-zero eigenvalue. Inside a multiple eigenvalue the eigenvectors, and with
        them the energies, are as arbitrary as the basis.

    Raises
    ------
    ArgumentError
        If the shapes disagree or the loss is zero.
    """
    j, r = _checked(jacobian, residuals)
    n = len(r)
    values, vectors = np.linalg.eigh(j @ j.T / n)
    kept = values > RELATIVE_RANK * values[-1]
    curvatures, q = values[kept][::-1], vectors[:, kept][:, ::-1]
    alignments = (r**2 @ q**2 - (r @ q) ** 2 / n) / np.mean(r**2)
    return PrincipalAlignments(curvatures, alignments * curvatures)


def extreme_loss_alignments(jacobian: ArrayLike, span: ArrayLike | None = None) -> Extremes:
    """Extremes of μ over all residuals at given gradients.

    For a linear model whose inputs are both arguments: over all weights, for targets that it fits.

    Parameters
    ----------
    jacobian : array_like, shape (n, N)
    span : array_like, shape (n, K), optional
        Columns whose combinations the residuals are; all of ℝⁿ if not given.

    Raises
    ------
    ArgumentError
        If the shapes disagree, or the jacobian or the span is zero.
    """
    j, _ = _checked(jacobian, np.ones(np.shape(jacobian)[:1]))
    basis = _basis(np.eye(len(j)) if span is None else span, len(j))
    curvature = _curvature_of_samples(j)
    if not curvature.any():
        raise ArgumentError("jacobian: 𝒢 is zero, so that μ is undefined; use another point")
    slope = j @ (j.T @ basis) / len(j)
    form = (basis.T * curvature) @ basis - slope.T @ slope
    return _ends(form / np.mean(curvature))


def extreme_directional_alignments(jacobian: ArrayLike, residuals: ArrayLike) -> Extremes:
    """Extremes of g(v) over all directions v that are not in the kernel of 𝒢.

    Parameters
    ----------
    jacobian : array_like, shape (n, N)
    residuals : array_like, shape (n,)
        Not all zero.

    Raises
    ------
    ArgumentError
        If the shapes disagree, or the loss or the jacobian is zero.
    """
    j, r = _checked(jacobian, residuals)
    basis = _basis(j, len(r))
    slope = r @ basis
    form = (basis.T * r**2) @ basis - np.outer(slope, slope) / len(r)
    return _ends(form / np.mean(r**2))


def extreme_linear_alignments(inputs: ArrayLike, *, starts: int = 20, seed: int) -> Extremes:
    """Extremes of μ and g over all weights and directions of all models f_i = x_i·F(w).

    Found by taking turns: at fixed u the best v is an eigenvector, and the other way round. Each
    turn improves; what the best of several starts leads to need not be the extreme. The least is 0
    for n ≤ 2(d − 1), where some u and v have each z_i orthogonal to one of them.

    Parameters
    ----------
    inputs : array_like, shape (n, d)
        x_i, of rank d.
    starts, seed : int
        Number of random starts, and their seed.

    Raises
    ------
    ArgumentError
        If the inputs do not span ℝᵈ.
    """
    x, _ = _checked(inputs, np.ones(np.shape(inputs)[:1]))
    z = np.sqrt(len(x)) * _basis(x, len(x))
    d = z.shape[1]
    if d < x.shape[1]:
        raise ArgumentError(
            f"inputs: expected a matrix of rank {x.shape[1]}, one input per row, got rank {d}"
        )
    pairs = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
    fourth = pairs.T @ pairs / len(z)
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(starts, d))
    least, greatest = (
        min(_descended(sign * fourth, sign, u / np.linalg.norm(u)) for u in first)
        for sign in (1, -1)
    )
    return Extremes(least, -greatest)


def effective_dimension(spectrum: ArrayLike) -> float:
    """d_eff = (tr S)² / tr S² of an input covariance S with these eigenvalues."""
    values = np.asarray(spectrum, dtype=float)
    return float(values.sum() ** 2 / (values**2).sum())


def _descended(fourth: NDArray[np.float64], sign: int, u: NDArray[np.float64]) -> float:
    """The least sign · g(u, v) that turns of u and v lead to, in whitened inputs."""
    d, value = len(u), np.inf
    for _ in range(TURNS):
        form = (fourth @ np.outer(u, u).ravel()).reshape(d, d) - sign * np.outer(u, u)
        values, vectors = np.linalg.eigh(form)
        if value - values[0] <= GAIN * max(1.0, abs(values[0])):
            break
        value, u = values[0], vectors[:, 0]
    return float(values[0])


def _basis(span: ArrayLike, n: int) -> NDArray[np.float64]:
    """Orthonormal basis of the combinations of columns, shape (n, rank)."""
    columns = np.asarray(span, dtype=float)
    if columns.ndim != 2 or len(columns) != n:
        raise ArgumentError(f"span: expected shape ({n}, K), a row per sample, got {columns.shape}")
    vectors, values, _ = np.linalg.svd(columns, full_matrices=False)
    if not values.any():
        raise ArgumentError("span: expected columns that are not all zero")
    return np.asarray(vectors[:, values**2 > RELATIVE_RANK * values[0] ** 2])


def _ends(form: NDArray[np.float64]) -> Extremes:
    values = np.linalg.eigvalsh(form)
    return Extremes(float(values[0]), float(values[-1]))


def _curvature_of_samples(j: NDArray[np.float64]) -> NDArray[np.float64]:
    """q_i = j_iᵀ 𝒢 j_i, by whichever of J Jᵀ and JᵀJ is smaller."""
    n, weights = j.shape
    if n <= weights:
        return np.mean((j @ j.T) ** 2, axis=1)
    return np.einsum("ij,ij->i", j @ (j.T @ j / n), j)


def _checked(
    jacobian: ArrayLike, residuals: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    j, r = np.asarray(jacobian, dtype=float), np.asarray(residuals, dtype=float)
    if j.ndim != 2 or r.shape != j.shape[:1]:
        raise ArgumentError(
            "jacobian, residuals: expected shapes (n, N) and (n,), one row per sample, "
            f"got {j.shape} and {r.shape}"
        )
    if not r.any():
        raise ArgumentError(
            "residuals: all zero, and the alignments are undefined where the loss is zero; "
            "measure them away from the minimum"
        )
    return j, r
