"""Moments of the noise beyond order σ²: the mean of the noisy loss, and the second chaos.

With the operators A, B and C of the independent parts of a law (`derive.laws.expansions`),
Reg = Σ A_i L̂, Reg₃ = Σ B_i L̂ and Reg₂ = Σ C_i L̂ + Σ_{i<j} A_i A_j L̂, all at η = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product

import sympy as sp

from ..errors import NotCoveredError
from ..laws.expansions import Direction, Part, Products, along
from ..laws.independent import Groups, groups_of
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import gradient
from .averaged_moments import averaged
from .moments import NoiseMoments, persistent_noise


def second_regularizer(problem: NoisyGradientDescent) -> sp.Expr:
    """Reg₂(w) = lim σ⁻⁴ (E L̂ − L − σ²Reg), on R^N (without the term in σ³ of skew laws).

    For a law that shrinks with σ it is (1/24) E[ξ⊗⁴] : ∂⁴_ηL̂(w, 0), for a Gaussian
    ⅛ (C:∇²_η)² L̂; rare jumps make it non-local. A penalty of size σ⁴ is part of it.

    Raises
    ------
    NotCoveredError
        If a part of the noise does not shrink with σ.
    """
    if problem.samples is not None:
        return problem.samples.of(second_regularizer(problem.one_sample))
    total, before = sp.Integer(0), sp.Integer(0)
    if problem.noisy_loss is not None:
        for part in _parts(problem):
            once = part.first(problem.noisy_loss)
            total += part.second(problem.noisy_loss) + part.first(before)
            before += once
    return _silent(total, problem) + problem.penalties.fourth


def third_regularizer(problem: NoisyGradientDescent) -> sp.Expr:
    """Reg₃(w) = (1/6) E[ξ⊗³] : ∂³_ηL̂(w, 0), the term of E L̂ in σ³; zero for symmetric laws."""
    if problem.samples is not None:
        return problem.samples.of(third_regularizer(problem.one_sample))
    if problem.noisy_loss is None:
        return sp.Integer(0)
    terms = [part.third(problem.noisy_loss) for part in _parts(problem)]
    return _silent(sp.Add(*terms), problem)


def second_chaos(problem: NoisyGradientDescent) -> NoiseMoments:
    """Factor of Σ₂, the covariance of the gradient noise ½ ηᵀ(∂²_η∇_wL̂)η in units of σ⁴.

    Σ₂,kl = ½ tr(A_k C A_l C) with A_k = ∂²_η∂_kL̂ for a Gaussian. With directions D_i of the
    noise, C = Σ D_iD_iᵀ, and the kurtosis K_i of independent coordinates the columns are
    D_iD_j∇_wL̂ for i < j and ½ √(K_i − 1) D_i²∇_wL̂; those of dependent ones are combined by a
    factor of their fourth moments.

    Raises
    ------
    NotCoveredError
        For laws with rare jumps or parts that do not shrink with σ.
    """
    if problem.samples is not None:
        own = set(problem.samples.independent)
        if own and own != set(problem.noise):
            raise NotCoveredError(
                "noise: the second chaos is not derived for noise of each sample's own beside "
                "noise that all samples share"
            )
        return averaged(problem, second_chaos)
    columns = []
    if problem.noisy_loss is not None:
        products = _products(problem)
        slopes = [along(d, problem.noisy_loss) for d in products.directions]
        for weights in products.columns:
            column = sp.zeros(problem.dimension, 1)
            for (i, j), weight in weights.items():
                mixed = _silent(along(products.directions[j], slopes[i]), problem)
                column += weight * sp.Matrix(gradient(mixed, problem.weights))
            if any(column):
                columns.append(column)
    factor = sp.Matrix.hstack(*columns) if columns else sp.zeros(problem.dimension, 0)
    return NoiseMoments(sp.Integer(0), partial(sp.ImmutableMatrix, factor))


def _parts(problem: NoisyGradientDescent) -> Iterator[Part]:
    return (part for symbols, law in _groups(problem) for part in law.parts(symbols))


def _products(problem: NoisyGradientDescent) -> Products:
    """Products of two coordinates of all noise; those of independent groups are uncorrelated."""
    directions: list[Direction] = []
    columns: list[Mapping[tuple[int, int], sp.Expr]] = []
    for symbols, law in _groups(problem):
        found, start = law.products(symbols), len(directions)
        fresh = range(start, start + len(found.directions))
        columns += ({pair: sp.Integer(1)} for pair in product(range(start), fresh))
        for column in found.columns:
            columns.append({(start + i, start + j): x for (i, j), x in column.items()})
        directions += found.directions
    return Products(tuple(directions), tuple(columns))


def _groups(problem: NoisyGradientDescent) -> Groups:
    if persistent_noise(problem):
        raise NotCoveredError(
            "law: the slower scales are known for noise that shrinks with σ, but "
            f"{', '.join(map(str, persistent_noise(problem)))} does not"
        )
    return groups_of(problem.law, problem.noise)


def _silent(expression: sp.Expr, problem: NoisyGradientDescent) -> sp.Expr:
    return sp.sympify(expression).xreplace(dict.fromkeys(problem.noise, sp.S.Zero))
