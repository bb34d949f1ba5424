"""The noise model as the user states it, validated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..laws.expansions import Jump, LevyPair
from ..laws.independent import Independent, groups_of
from ..laws.law import Law, Quantity
from ..laws.shrinking import Gaussian
from ..optimizers.optimizer import Optimizer
from ..reading import refuse_stray
from ..symbolic.calculus import Substitution, gradient
from ..symbolic.kinks import is_entire, kinks
from ..symbolic.means import Samples
from ..symbolic.unknown_functions import unknown_names
from ..symbolic.zero_tests import Verdict, vanishes_identically
from ..symbols import alpha, sigma
from .chart import Chart
from .penalty import Penalty, split_penalty
from .statement import Fields, bound, problem_fields, read_gradient_noise, require_rest


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
        for name, value in kind_of(self).fields(self).items():
            object.__setattr__(self, name, value)
        self.objective.check()

    @cached_property
    def objective(self) -> Objective:
        """L and L̂ as an objective of their kind."""
        return kind_of(self)(self)

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

    @property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The weights, or the entries of their matrices, one after the other, row by row."""
        return self.objective.coordinates

    @property
    def dimension(self) -> int:
        """Number N of weights; of entries, where they are matrices."""
        return self.objective.dimension

    @property
    def samples(self) -> Samples | None:
        """The data, if the loss is a mean over samples."""
        return self.objective.samples

    @property
    def one_sample(self) -> NoisyGradientDescent:
        """The problem of one sample, with its data among the parameters; itself without samples."""
        return self.objective.one_sample

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
        """The problem as expressions in numbers: a mean over all samples, or some, written out.

        Each sample's own noise e is e_0, e_1, … there.
        """
        return self.objective.written_out(rows)

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
            return self.objective.gradient(self.noisy_loss + self.penalty)
        if not self.noise:
            raise ProblemError(
                "noise_matrix: a covariance Σ(w) does not say how to draw the noise; give a "
                "factor G(w) with Σ = G Gᵀ and its noise symbols to simulate the recursion"
            )
        assert self.noise_matrix is not None
        mean = sp.Matrix(self.objective.gradient(self.loss + self.penalty))
        return tuple(mean + self.noise_matrix * sp.Matrix(self.noise))

    @cached_property
    def loss_gradient(self) -> tuple[sp.Expr, ...]:
        """∇L(w)."""
        return self.objective.gradient(self.loss)

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

    def check_symbols(self) -> None:
        """Refuse symbols that are not declared."""
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


@dataclass(frozen=True)
class Objective(ABC):
    """What L and L̂ of a problem are: an objective of some kind, by default expressions in numbers.

    A kind is one module: a class derived from this one, which answers what depends on the kind,
    and what it registers with the functions of other rooms that speak of their own nouns:
    `manifold_of`, `moments_of`, `derive.files.limit_file.known_of` and `restored_of`, and in
    `numerics` `local_model` and `recursion_of`. Where it registers nothing, it is refused.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose L and L̂ they are.
    """

    problem: NoisyGradientDescent

    name: ClassVar[str] = "expressions"
    """What it is, for a message."""

    is_pointwise: ClassVar[bool] = True
    """Whether L and L̂ have values at a point of numbers as they stand."""

    @classmethod
    @abstractmethod
    def is_stated(cls, stated: Any) -> bool:
        """Whether a problem, read or as the user typed it, is of this kind."""

    @classmethod
    def fields(cls, stated: Any) -> Fields:
        """The fields of a problem of this kind, read."""
        return problem_fields(stated)

    def check(self) -> None:
        """Refuse stray symbols, and L̂(w, 0) ≠ L(w)."""
        self.problem.check_symbols()
        if self.problem.noisy_loss is not None:
            require_rest(self.problem.loss, self.problem.noisy_loss, self.problem.noise)

    @property
    def samples(self) -> Samples | None:
        """The data of a mean over samples."""
        return None

    @property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The weights as numbers."""
        return self.problem.weights

    @property
    def dimension(self) -> int:
        """Number N of weights."""
        return len(self.problem.weights)

    @property
    def one_sample(self) -> NoisyGradientDescent:
        """The problem of one sample."""
        return self.problem

    @property
    def covered(self) -> NoisyGradientDescent:
        """The problem in a form of which the limit is derived: itself, or written out."""
        return self.problem

    def written_out(self, rows: Sequence[int] | None = None) -> NoisyGradientDescent:
        """The problem as expressions in numbers."""
        return self.problem

    def gradient(self, expression: sp.Expr) -> tuple[sp.Expr, ...]:
        """Derivatives of L, L̂ or a sum with them by the weights."""
        return tuple(gradient(expression, self.problem.weights))

    @property
    def quantities(self) -> Iterator[Quantity]:
        """What is printed of it beside L and L̂: names as text and LaTeX, and expressions."""
        return iter(())

    @property
    def noiseless(self) -> Verdict:
        """Whether L̂(w, 0) = L(w)."""
        problem = self.problem
        assert problem.noisy_loss is not None
        still = dict.fromkeys(problem.noise, sp.S.Zero)
        return vanishes_identically(problem.noisy_loss.xreplace(still) - problem.loss)

    @property
    def is_polynomial(self) -> bool:
        """Whether L̂ is a polynomial in the noise."""
        noisy = self.problem.noisy_loss
        return noisy is not None and bool(noisy.is_polynomial(*self.problem.noise))

    @property
    def is_entire(self) -> bool:
        """Whether L and L̂ are seen to be analytic for all real weights and noise."""
        losses = (self.problem.loss, self.problem.noisy_loss)
        return all(is_entire(e) for e in losses if e is not None)

    def refused(self, question: str) -> NotCoveredError:
        """What is raised where a kind leaves a question open."""
        return NotCoveredError(f"{question}: not covered for {self.name}")


def kind_of(stated: Any) -> type[Objective]:
    """The kind of objective of a problem, read or as the user typed it.

    Those defined last are asked first, so a user's own kinds before those of `derive.objectives`.
    """
    return next(kind for kind in reversed(_kinds(Objective)) if kind.is_stated(stated))


def _kinds(parent: type) -> list[type[Objective]]:
    """The kinds derived from one, each before those derived from it."""
    children: list[type] = parent.__subclasses__()
    return [kind for child in children for kind in (child, *_kinds(child))]
