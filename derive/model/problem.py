"""The noise model as the user states it, validated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..laws.expansions import Jump, LevyPair
from ..laws.independent import Independent, groups_of, repeated
from ..laws.law import Law
from ..laws.shrinking import Gaussian
from ..matrices.entries import entries_of, exact_entries, in_entries, shape_of
from ..matrices.objective import TraceObjective, in_words, read_traces, without_matrices
from ..optimizers.optimizer import Optimizer
from ..reading import holds_matrices, refuse_stray
from ..symbolic.calculus import Substitution, gradient
from ..symbolic.kinks import kinks
from ..symbolic.means import MatrixSamples, Mean, Samples
from ..symbolic.unknown_functions import unknown_names
from ..symbols import alpha, sigma
from .chart import Chart
from .penalty import Penalty, split_penalty
from .statement import bound, matrix_fields, problem_fields, read_gradient_noise, require_rest


@dataclass(frozen=True)
class NoisyGradientDescent:
    """Noisy gradient descent w_{k+1} = w_k − α ∇_w L̂(w_k, η_k) with L̂(w, 0) = L(w).

    Parameters
    ----------
    loss : Expr
        L(w), smallest on the manifold Γ of its minimisers. Floats are read as the decimals typed.
        It may hold undefined functions, ``sp.Function("L")(w1, w2)``: one that is a term of the
        loss as it stands is ≥ 0 and zero on a hypersurface, any other is smooth; the limit
        then holds for all such functions but exceptional ones. A `Mean`
        over samples is not written out, however many they are.
    noisy_loss : Expr
        L̂(w, η); for a loss over samples a `Mean` over the same ones, too.
    weights, noise : Symbol, sequence of Symbol or column matrix
        w (N symbols) and η (d symbols), declared real.
    law : Law
        Law of η; standard Gaussian scaled by σ if not given.
    constraints : sequence of Expr, optional
        Expressions whose common zero set is Γ near `near`; read off L, or ∇L = 0, if not given.
    chart : Chart, mapping or pair (coordinates, embedding), optional
        Parametrisation of Γ, for drift and diffusion in intrinsic coordinates.
    near : mapping or sequence, optional
        A point that picks the component of Γ.
    parameters : sequence of Symbol
        Symbols that stay symbolic until bound by `subs`.
    penalty : Expr, optional
        U(w), such as weight decay, added to L̂ in the recursion: terms of size σ², ασ² or σ⁴,
        written with `derive.alpha` (α/(1 − β) with momentum β) and `derive.sigma`.
    optimizer : Optimizer, optional
        How a stochastic gradient becomes a step, one of `derive.optimizers`; gradient descent if
        not given.

    Raises
    ------
    ProblemError
        If the symbols are not as declared or L̂(w, 0) ≠ L(w).

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, Definition 3.1.
    """

    loss: sp.Expr
    noisy_loss: sp.Expr | None
    weights: tuple[sp.Symbol, ...]
    noise: tuple[sp.Symbol, ...]
    law: Law = field(default_factory=Gaussian)
    constraints: tuple[sp.Expr, ...] | None = None
    chart: Chart | None = None
    near: tuple[sp.Expr, ...] | None = None
    parameters: tuple[sp.Symbol, ...] = ()
    noise_matrix: sp.ImmutableMatrix | None = None
    """G(w), N × d, of a model stated by its gradient noise; Σ(w), N × N, when `noise` is empty."""
    penalty: sp.Expr = sp.S.Zero
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        of_matrices = holds_matrices(self.weights)
        found = matrix_fields(self) if of_matrices else problem_fields(self)
        for name, value in found.items():
            object.__setattr__(self, name, value)
        if of_matrices:
            self._check_matrices()
        else:
            self._check_symbols()
            self._check_rest()

    @cached_property
    def traces(self) -> TraceObjective | None:
        """The loss in words, for a problem with matrices for weights."""
        if not isinstance(self.weights[0], sp.MatrixSymbol):
            return None
        return read_traces(self.loss, self.weights)

    @cached_property
    def sizes(self) -> Mapping[sp.Expr, sp.Expr]:
        """Values of the dimensions that the data matrices fix."""
        if self.traces is None:
            return {}
        place = self.samples.symbols.index(self.traces.data)  # type: ignore[union-attr]
        shape = self.samples.arrays[place].shape[1:]  # type: ignore[union-attr]
        pairs = list(
            zip(map(sp.sympify, self.traces.data.shape), map(sp.Integer, shape), strict=True)
        )
        found = {size: value for size, value in pairs if size.is_Symbol}
        if any(size.subs(found) != value for size, value in pairs):
            raise ProblemError(
                f"data: {self.traces.data.name} has the shape {self.traces.data.shape}, which does "
                f"not fit arrays of shape {shape}"
            )
        return found

    @classmethod
    def from_gradient_noise(
        cls,
        loss: sp.Expr,
        noise_matrix: Any,
        weights: Any,
        noise: Any = (),
        **options: Any,
    ) -> NoisyGradientDescent:
        """Model ∇L(w) + G(w) η of the stochastic gradient, for which no L̂ need exist.

        Parameters
        ----------
        loss : Expr
            L(w).
        noise_matrix : matrix
            G(w), shape (N, d), with d noise symbols in `noise`; or, with `noise` left out, the
            covariance Σ(w) of the gradient noise in units of σ², shape (N, N).
        weights, noise, **options
            As for `NoisyGradientDescent`.

        Raises
        ------
        ProblemError
            If the shape does not fit, or a covariance is not symmetric positive semi-definite.
        """
        matrix = read_gradient_noise(noise_matrix, weights, noise)
        return cls(loss, None, weights, noise, noise_matrix=matrix, **options)

    @cached_property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The weights, or the entries of their matrices, one after the other, row by row."""
        if self.traces is None:
            return self.weights
        return tuple(x for v in self.weights for x in entries_of(v, self.sizes))

    @property
    def dimension(self) -> int:
        """Number N of weights; of entries, where they are matrices."""
        if self.traces is None:
            return len(self.weights)
        return sum(math.prod(shape_of(v, self.sizes)) for v in self.weights)

    @property
    def samples(self) -> Samples | None:
        """The data, if the loss is a mean over samples."""
        return self.loss.samples if isinstance(self.loss, Mean) else None

    @cached_property
    def one_sample(self) -> NoisyGradientDescent:
        """The problem of one sample, with its data among the parameters; itself without samples."""
        if self.traces is not None:
            raise NotCoveredError(
                "problem: not derived for matrices for weights; write it in entries, with "
                "problem.written_out()"
            )
        if self.samples is None:
            return self
        noisy = None if self.noisy_loss is None else self.samples.one(self.noisy_loss)
        return replace(
            self,
            loss=self.samples.one(self.loss),
            noisy_loss=noisy,
            parameters=(*self.parameters, *self.samples.symbols),
        )

    def with_noise(self, symbols: Sequence[sp.Symbol]) -> NoisyGradientDescent:
        """The problem with some of its noise, whole groups of the law, alone."""
        kept = tuple(e for e in self.noise if e in symbols)
        if kept == self.noise:
            return self
        groups = tuple((s, law) for s, law in groups_of(self.law, self.noise) if s[0] in kept)
        noisy, matrix = self.noisy_loss, self.noise_matrix
        if noisy is not None:
            noisy = Substitution({e: sp.S.Zero for e in self.noise if e not in kept})(noisy)
        if matrix is not None:
            matrix = matrix.extract(list(range(matrix.rows)), list(map(self.noise.index, kept)))
        law = Independent(groups)
        return replace(self, noisy_loss=noisy, noise_matrix=matrix, noise=kept, law=law)

    def written_out(self, rows: Sequence[int] | None = None) -> NoisyGradientDescent:
        """The problem with the mean over all samples, or over some of them, written out.

        Each sample's own noise e is e_0, e_1, … there.
        """
        if self.traces is not None:
            return self._in_entries(rows)
        if self.samples is None:
            return self
        chosen = range(len(self.samples)) if rows is None else rows
        noisy = self.noisy_loss
        copies = [self.samples.noise_of(i) for i in chosen]
        own = tuple(copy[e] for copy in copies for e in self.samples.independent)
        shared = tuple(e for e in self.noise if e not in self.samples.independent)
        return replace(
            self,
            loss=self.samples.written(self.loss, chosen)[0],
            noisy_loss=None if noisy is None else self.samples.written(noisy, chosen)[0],
            noise=shared + own,
            law=repeated(self.law, self.noise, self.samples.independent, copies),
        )

    def _in_entries(self, rows: Sequence[int] | None) -> NoisyGradientDescent:
        samples, sizes = self.samples, self.sizes
        assert isinstance(samples, MatrixSamples)
        chosen = range(len(samples)) if rows is None else rows
        pairs = list(zip(samples.symbols, samples.arrays, strict=True))
        data = [{symbol: exact_entries(array[i]) for symbol, array in pairs} for i in chosen]
        return self.of_entries(data, sizes)

    def of_entries(
        self,
        data: Sequence[Mapping[Any, Any]],
        sizes: Mapping[sp.Expr, sp.Expr],
        near: Sequence[sp.Expr] | None = None,
    ) -> NoisyGradientDescent:
        """The problem with its matrices written in entries, for some data and dimensions."""
        samples = self.samples
        assert samples is not None
        assert self.noisy_loss is not None
        matrices = {
            m: entries_of(m, sizes)
            for m in (*self.weights, *self.noise)
            if isinstance(m, sp.MatrixSymbol)
        }
        losses: list[sp.Expr] = []
        noise = [e for m in self.noise if m in matrices for e in matrices[m]]
        noise += [e for e in self.noise if e not in matrices and e not in samples.independent]
        for summand in (samples.one(self.loss), samples.one(self.noisy_loss)):
            terms = []
            for i, sample in enumerate(data):
                own = samples.noise_of(i)
                place = {s: x for s, x in sample.items() if not isinstance(s, sp.MatrixSymbol)}
                terms.append(in_entries(summand, {**matrices, **sample}).xreplace(place | own))
            losses.append(sp.expand_mul(sp.Add(*terms) / len(data)))
        noise += [e for i in range(len(data)) for e in samples.noise_of(i).values()]
        weights = tuple(x for v in self.weights for x in matrices[v])
        loss, noisy = losses
        around = None if near is None else tuple(near)
        return NoisyGradientDescent(loss, noisy, weights, tuple(noise), self.law, near=around)

    @cached_property
    def stochastic_gradient(self) -> tuple[sp.Expr, ...]:
        """∇_w (L̂(w, η) + U(w)), the vector that one step of the recursion subtracts α times.

        A penalty U leaves `derive.alpha` and `derive.sigma` in it, to be bound to the step size
        and the noise scale of the run.

        Raises
        ------
        ProblemError
            For a model that is given by its covariance Σ(w) only.
        """
        if self.noisy_loss is not None:
            return tuple(gradient(self.noisy_loss + self.penalty, self.weights))
        if not self.noise:
            raise ProblemError(
                "noise_matrix: a covariance Σ(w) does not say how to draw the noise; give a "
                "factor G(w) with Σ = G Gᵀ and its noise symbols to simulate the recursion"
            )
        assert self.noise_matrix is not None
        mean = sp.Matrix(gradient(self.loss + self.penalty, self.weights))
        return tuple(mean + self.noise_matrix * sp.Matrix(self.noise))

    @cached_property
    def loss_gradient(self) -> tuple[sp.Expr, ...]:
        """∇L(w)."""
        return tuple(gradient(self.loss, self.weights))

    @cached_property
    def kinks(self) -> tuple[sp.Expr, ...]:
        """Functions of the weights that vanish where L, or L̂ at η = 0, is not smooth."""
        noisy = self.noise_matrix if self.noisy_loss is None else self.noisy_loss
        return kinks((self.loss, noisy, self.penalty), self.noise)

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the functions of which nothing is said."""
        return unknown_names(self.loss, self.noisy_loss, self.noise_matrix, self.penalty)

    def require_known(self) -> None:
        """Refuse unknown functions where numbers are asked for.

        Raises
        ------
        NotCoveredError
            If there are any.
        """
        if self.unknowns:
            raise NotCoveredError(
                f"problem: {self.unknowns[0]} is an unknown function; give one with "
                f"problem.subs({{{self.unknowns[0]}: sp.Lambda((x, …), body)}}) and derive its "
                "limit to compute with numbers"
            )

    @cached_property
    def penalties(self) -> Penalty:
        """The penalty by the size of its terms."""
        return split_penalty(self.penalty)

    @cached_property
    def levy_pair(self) -> LevyPair:
        """Lévy pair of the law, in the order of `noise`."""
        dimension = len(self.noise) or self.dimension
        pair = self.law.levy_pair(dimension)
        if not isinstance(self.law, Independent):
            return pair
        order = [self.law.symbols.index(s) for s in self.noise]
        jumps = tuple(Jump(j.displacement.extract(order, [0]), j.rate) for j in pair.jumps)
        return LevyPair(pair.covariance.extract(order, order), jumps)

    def subs(self, values: Mapping[sp.Symbol, Any]) -> NoisyGradientDescent:
        """Bind parameters to numbers, and unknown functions to functions.

        Parameters
        ----------
        values : mapping of Symbol to number, or of undefined Function to Lambda
            Values of some or all parameters, ``sp.Lambda((x, y), body)`` for functions.

        Raises
        ------
        ProblemError
            If a key is neither a parameter nor an unknown function of this problem.
        """
        return bound(self, values, self.unknowns)

    def _check_symbols(self) -> None:
        known = {
            "loss": (self.loss, {*self.weights, *self.parameters}),
            "noisy_loss": (self.noisy_loss, {*self.weights, *self.noise, *self.parameters}),
            "noise_matrix": (self.noise_matrix, {*self.weights, *self.parameters}),
            "penalty": (self.penalty, {*self.weights, *self.parameters, alpha, sigma}),
        }
        for name, (expression, allowed) in known.items():
            if expression is not None:
                refuse_stray(name, expression, allowed)
        split_penalty(self.penalty)
        for constraint in self.constraints or ():
            refuse_stray("constraints", constraint, {*self.weights, *self.parameters})
        for value in self.near or ():
            refuse_stray("near", value, {*self.parameters})
        refuse_stray("law", self.levy_pair.covariance, {*self.parameters})
        for jump in self.levy_pair.jumps:
            refuse_stray("law", jump.displacement, {*self.parameters})
            refuse_stray("law", jump.rate, {*self.parameters})

    def _check_rest(self) -> None:
        if self.noisy_loss is None:
            return
        if self.samples is None:
            require_rest(self.loss, self.noisy_loss, self.noise)
        else:
            _ = self.one_sample  # where it holds for each sample, it holds for the mean

    def _check_matrices(self) -> None:
        assert self.traces is not None
        noisy, noise = self.noisy_loss, self.noise
        assert isinstance(noisy, Mean)
        refuse_stray("noisy_loss", noisy, {*self.weights, *noise, *noisy.samples.symbols})
        silent = dict.fromkeys((e for e in noise if isinstance(e, sp.Symbol)), sp.S.Zero)
        still = without_matrices(noisy.summand, noise).xreplace(silent)
        if in_words(still - self.loss.summand) != 0:
            raise ProblemError(
                f"noisy_loss: L̂(w, 0) must equal L(w); one sample of L̂(w, 0) is {still}"
            )
