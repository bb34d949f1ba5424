"""What an exported program holds, for any language: arrays of expressions, and what they lack.

Drift, diffusion and projector are written as they are where they have a closed form. Where one has
none, the program holds the derivatives of the model, and the linear algebra of Theorem B.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError, ProblemError
from ..theory.jets import PlainJet, SquaresJet

Place = tuple[int, ...]

MEANINGS = {
    "projector": "Projector P on the tangent space of Γ",
    "drift": "Itô drift b, per unit of slow time",
    "diffusion": "Diffusion matrix s, per square root of slow time",
}


@dataclass(frozen=True)
class Function:
    """A function of the weights whose value is an array.

    Attributes
    ----------
    name, meaning : str
        What it is called, and what it is.
    shape : tuple of int
        () of a number.
    entries : tuple of (place, Expr)
        The entries that are not zero.
    """

    name: str
    meaning: str
    shape: tuple[int, ...]
    entries: tuple[tuple[Place, sp.Expr], ...]

    @classmethod
    def of(cls, name: str, meaning: str, value: Any) -> Function:
        """An expression, a sequence of expressions or a matrix as a function."""
        shape: tuple[int, ...]
        entries: list[tuple[Place, sp.Expr]]
        if isinstance(value, sp.Expr) and not isinstance(value, sp.MatrixBase):
            shape, entries = (), [((), value)]
        elif isinstance(value, sp.MatrixBase):
            places = itertools.product(range(value.rows), range(value.cols))
            shape, entries = value.shape, [(place, value[place]) for place in places]
        else:
            found = list(value)
            shape, entries = (len(found),), [((i,), sp.sympify(x)) for i, x in enumerate(found)]
        return cls(name, meaning, shape, tuple((p, x) for p, x in entries if x != 0 or not shape))


@dataclass(frozen=True)
class Program:
    """A limit to be written in some language.

    Attributes
    ----------
    weights : tuple of Symbol
        Coordinates of a point, in order.
    summary, unit : str
        The limit in words, and one unit of slow time.
    functions : tuple of Function
        In the order in which they are written.
    derived : tuple of str
        Which of projector, drift and diffusion are computed from the derivatives of the model.
    squares : bool
        Whether those are the derivatives of residuals, of which L is half the sum of squares.
    factored : bool
        Whether they hold a factor S of Σ = S Sᵀ, and not Σ.
    numbers : mapping of str to float
        Weights of the equation.
    codimension : int
        Rank of H.
    """

    weights: tuple[sp.Symbol, ...]
    summary: str
    unit: str
    functions: tuple[Function, ...]
    derived: tuple[str, ...] = ()
    squares: bool = False
    factored: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)
    codimension: int = 0

    @property
    def dimension(self) -> int:
        """Number of weights."""
        return len(self.weights)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of the value of a function."""
        return next(f.shape for f in self.functions if f.name == name)


@singledispatch
def program_of(limit: LimitingEquation) -> Program:
    """The program of a limit.

    Raises
    ------
    ProblemError
        If a parameter or the step size is still a symbol.
    NotCoveredError
        If the limit is that of unknown functions or of too many samples, or is a next-order
        equation that has no closed form.
    """
    limit = limit.written_out()
    limit.problem.require_known()
    require_parameters_bound(limit)
    common = [
        Function.of("constraints", "F(w), zero on Γ", limit.manifold.constraints),
        Function.of("regularizer", "Reg(w)", limit.regularizer),
    ]
    closed = closed_forms(limit)
    derived = tuple(name for name in MEANINGS if name not in closed)
    if derived and (limit.second_weight != 0 or limit.equation.order):
        raise NotCoveredError(
            f"limit: the equation {limit.equation.name!r} has no closed form here; export the "
            "limit itself, or one at a step, limit.at_step(...)"
        )
    rest = list(_derivatives(limit)) if derived else []
    return checked(
        limit,
        Program(
            weights=limit.problem.weights,
            summary=str(limit),
            unit=unit_of(limit),
            functions=(*common, *rest, *closed.values()),
            derived=derived,
            squares=isinstance(limit.manifold.jet, SquaresJet),
            factored=limit.moments.factor is not None,
            numbers=_numbers(limit) if derived else {},
            codimension=limit.manifold.codimension,
        ),
    )


def closed_program(limit: LimitingEquation) -> Program:
    """The program of a limit under an optimizer or of a rule: what has a closed form.

    Raises
    ------
    ProblemError
        If a parameter or the step size is still a symbol.
    NotCoveredError
        If something has none.
    """
    require_parameters_bound(limit)
    closed = closed_forms(limit)
    if len(closed) < len(MEANINGS):
        raise NotCoveredError(
            "limit: that of an update rule is exported where it has a closed form; this one is "
            "too long to read: evaluate it by numerics.compile_limit"
        )
    functions = tuple(closed.values())
    return checked(limit, Program(limit.problem.weights, str(limit), unit_of(limit), functions))


def closed_forms(limit: LimitingEquation) -> dict[str, Function]:
    """Projector, drift and diffusion, those that have a closed form."""
    known = {name: getattr(limit, name) for name in MEANINGS}
    vectors = {"drift": known["drift"] and list(known["drift"])}
    return {
        name: Function.of(name, MEANINGS[name], vectors.get(name, matrix))
        for name, matrix in known.items()
        if matrix is not None
    }


def unit_of(limit: LimitingEquation) -> str:
    """One unit of slow time, in words."""
    scale = limit.time_scale
    return "nothing: the limit is at rest" if scale is None else f"{scale} iterations"


def checked(limit: LimitingEquation, program: Program) -> Program:
    """The program, if it holds no symbol but the weights.

    Raises
    ------
    ProblemError
        If it holds one.
    """
    held = {s for f in program.functions for _, x in f.entries for s in x.free_symbols}
    stray = ", ".join(sorted(map(str, held - {*program.weights})))
    if stray:
        raise ProblemError(
            f"limit: {stray} still stands for any value; give numbers, as in limit.subs({{...}}) "
            "or limit.at_step(0.05), before exporting"
        )
    return program


def require_parameters_bound(limit: LimitingEquation) -> None:
    """Refuse parameters without a value, before anything is written."""
    parameters = ", ".join(map(str, limit.problem.parameters))
    if parameters:
        raise ProblemError(
            f"limit: {parameters} still stands for any value; bind it with limit.subs({{...}}) "
            "before exporting"
        )


def _numbers(limit: LimitingEquation) -> dict[str, float]:
    relaxation = limit.equation.relaxation
    numbers = {
        "ito": limit.ito_weight,
        "noise": limit.noise_weight,
        "damping": relaxation.damping,
        "dephasing": relaxation.dephasing,
    }
    symbols = ", ".join(sorted({str(s) for x in numbers.values() for s in x.free_symbols}))
    if symbols:
        raise ProblemError(
            f"limit: {symbols} is a symbol still; give numbers, as in limit.at_step(0.05), before "
            "exporting"
        )
    return {name: float(value) for name, value in numbers.items()}


def _derivatives(limit: LimitingEquation) -> Iterator[Function]:
    """Derivatives of the model, from which the equation is computed at each point."""
    jet, n = limit.manifold.jet, limit.problem.dimension
    if isinstance(jet, SquaresJet):
        residuals = jet.unit_weights().residuals
        gradients = sp.Matrix([r.gradient for r in residuals])
        entries = (
            ((a, *place), x)
            for a, residual in enumerate(residuals)
            for i, j, x in residual.hessian
            for place in {(i, j), (j, i)}
        )
        yield Function.of("_gradients", "Gradients of the residuals", gradients)
        yield _sorted("_hessians", "Hessians of the residuals", (len(residuals), n, n), entries)
    else:
        yield Function.of("_hessian", "H = ∇²L", sp.Matrix(jet.hessian()))
        yield _sorted("_thirds", "Third derivatives of L", (n, n, n), _symmetric(jet))
    yield Function.of("_slope", "The field v", limit.slope)
    columns = sp.Matrix(limit.moments.columns)
    if limit.moments.factor is None:
        yield Function.of("_covariance", "Covariance Σ of the gradient noise", columns)
    else:
        yield Function.of("_noise", "S with S Sᵀ = Σ", columns)


def _symmetric(jet: PlainJet) -> Iterator[tuple[Place, sp.Expr]]:
    for *place, value in jet.thirds:
        for permuted in set(itertools.permutations(place)):
            yield permuted, value


def _sorted(
    name: str, meaning: str, shape: Sequence[int], entries: Iterable[tuple[Place, sp.Expr]]
) -> Function:
    ordered = sorted(entries, key=lambda entry: entry[0])
    return Function(name, meaning, tuple(shape), tuple(ordered))
