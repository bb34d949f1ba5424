"""A limit as a file of plain NumPy functions, for use without this project.

Where drift, diffusion and projector are known in closed form, that is what is written; otherwise
the file holds the derivatives of the model and the few lines of linear algebra of Theorem B.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import reduce
from os import PathLike
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.printing.numpy import NumPyPrinter

from derive import Limit, NotCoveredError
from derive.files.atomic_write import write_atomically
from derive.theory.jets import SquaresJet

from ..codegen.functions import check_expressions, readable_names
from ..errors import CodeGenerationError
from .compiled_limit import compile_limit
from .dense import equation_numbers

Entries = NDArray[np.object_]

HEADER = '''"""dW = b(W) dt + s(W) dB on Γ: the limit of a noisy gradient descent, in plain NumPy.

{summary}

Functions take points w of Γ, shape (..., {dimension}), the last axis being ({names}), and keep the
leading axes. One unit of slow time is {unit}.
"""

import numpy as np
'''

SQUARES = '''

def _hessian(w):
    """H = ∇²L on Γ, where L is half the sum of squares of residuals, shape (..., N, N)."""
    j = _gradients(w)
    return np.swapaxes(j, -1, -2) @ j


def _third(w, s):
    """D³L[S] on Γ for symmetric S, shape (..., N)."""
    j, curvature = _gradients(w), _hessians(w)
    image = np.einsum("...aij,...jk,...ak->...i", curvature, s, j)
    trace = np.einsum("...aij,...ij->...a", curvature, s)
    return 2 * image + np.einsum("...a,...ai->...i", trace, j)
'''

PLAIN = '''

def _third(w, s):
    """D³L[S] for symmetric S, shape (..., N)."""
    return np.einsum("...kij,...ij->...k", _thirds(w), s)
'''

FACTORED = '''

def _covariance(w):
    """Covariance Σ of the gradient noise, in units of σ², shape (..., N, N)."""
    g = _noise(w)
    return g @ np.swapaxes(g, -1, -2)
'''

GIVEN = '''

def _noise(w):
    """The symmetric root of Σ, shape (..., N, N)."""
    values, vectors = np.linalg.eigh(_covariance(w))
    return vectors * np.sqrt(np.maximum(values, 0))[..., None, :] @ np.swapaxes(vectors, -1, -2)
'''

FRAME = '''

def _frame(w):
    """Non-zero eigenvalues of H, shape (..., {rank}), and eigenvectors, shape (..., N, {rank})."""
    values, vectors = np.linalg.eigh(_hessian(w))
    return values[..., -{rank}:], vectors[..., -{rank}:]
'''

PROJECTOR = '''

def projector(w):
    """Orthogonal projector P on the tangent space of Γ, shape (..., {dimension}, {dimension})."""
    normal = _frame(w)[1]
    return np.eye({dimension}) - normal @ np.swapaxes(normal, -1, -2)
'''

DIFFUSION = '''

def diffusion(w):
    """Diffusion matrix s = c P S, per square root of slow time."""
    return {noise} * projector(w) @ _noise(w)
'''

DRIFT = '''

def drift(w):
    """Itô drift b = -P v + q D²Φ[Σ] by Theorem B, per unit of slow time, shape (..., {dimension}).

    D²Φ[S] = -H⁺D³L[PSP] - 2P D³L[sym(H⁺QSP)] - P D³L[X], where X solves the Lyapunov equation.
    """
    values, normal = _frame(w)
    across, p, covariance = np.swapaxes(normal, -1, -2), projector(w), _covariance(w)
    inverse = normal / values[..., None, :] @ across
    mixed = normal / (values + {dephasing} * values**2)[..., None, :] @ across @ covariance @ p
    first, second = values[..., :, None], values[..., None, :]
    rate = first + second - {damping} * first * second + {dephasing} * (first - second) ** 2
    x = normal @ (across @ covariance @ normal / rate) @ across
    along = _third(w, mixed + np.swapaxes(mixed, -1, -2)) + _third(w, x)
    bend = inverse @ _third(w, p @ covariance @ p)[..., None]
    tangential = p @ (_slope(w) + {ito} * along)[..., None]
    return -({ito} * bend + tangential)[..., 0]
'''


def write_numpy(limit: Limit, path: str | PathLike[str]) -> None:
    """Write a limit as a Python file that needs nothing but NumPy, whole or not at all.

    Parameters
    ----------
    limit : Limit
        Its parameters bound to numbers, and its step size too if it is a finite-step limit.
    path : path-like
        Name of the file. It holds `drift`, `diffusion`, `projector`, `regularizer` and
        `constraints`, functions of points w, shape (..., N).

    Raises
    ------
    ArgumentError
        If a parameter or the step size is still a symbol.
    CodeGenerationError
        If the model holds a function that NumPy lacks, or the limit is a next-order equation that
        has no closed form.
    """
    if limit.problem.samples is not None:
        raise NotCoveredError(
            "limit: a mean over samples is not exported; derive the limit of problem.written_out()"
        )
    source = numpy_source(limit)
    write_atomically(path, lambda file: file.write(source.encode()))


def numpy_source(limit: Limit) -> str:
    """The text of the file that `write_numpy` writes."""
    compile_limit(limit)  # refuses symbols without a value
    writer = _Writer(limit.problem.weights)
    m = limit.manifold
    scale = limit.time_scale
    parts = [
        HEADER.format(
            summary=str(limit).replace("\\", "\\\\"),
            dimension=limit.problem.dimension,
            names=", ".join(writer.names),
            unit="nothing: the limit is at rest" if scale is None else f"{scale} iterations",
        ),
        writer.function("constraints", "F(w), zero on Γ", _array(m.constraints)),
        writer.function("regularizer", "Reg(w)", _array([limit.regularizer])[0]),
    ]
    closed = {"projector": limit.projector, "drift": limit.drift, "diffusion": limit.diffusion}
    if None in closed.values():
        parts += _pointwise(limit, writer)
    for name, matrix in closed.items():
        if matrix is not None:
            entries = _array(matrix.tolist())
            entries = entries[:, 0] if name == "drift" else entries
            parts.append(writer.function(name, _MEANINGS[name], entries))
        else:
            parts.append(_TEMPLATES[name].format(**_numbers(limit)))
    return "".join(parts)


_MEANINGS = {
    "projector": "Orthogonal projector P on the tangent space of Γ",
    "drift": "Itô drift b, per unit of slow time",
    "diffusion": "Diffusion matrix s, per square root of slow time",
}
_TEMPLATES = {"projector": PROJECTOR, "drift": DRIFT, "diffusion": DIFFUSION}


def _numbers(limit: Limit) -> dict[str, Any]:
    return {
        **equation_numbers(limit),
        "dimension": limit.problem.dimension,
        "rank": limit.manifold.codimension,
    }


def _pointwise(limit: Limit, writer: _Writer) -> Iterator[str]:
    """Derivatives of the model, from which the equation is computed at each point."""
    if limit.second_weight != 0 or limit.equation.order:
        raise CodeGenerationError(
            f"limit: the equation {limit.equation.name!r} has no closed form here; export the "
            "limit itself, or one at a step, limit.at_step(...)"
        )
    n, jet = limit.problem.dimension, limit.manifold.jet
    if isinstance(jet, SquaresJet):
        residuals = jet.unit_weights().residuals
        hessians = _zeros(len(residuals), n, n)
        for a, residual in enumerate(residuals):
            for i, j, value in residual.hessian:
                hessians[a, i, j] = hessians[a, j, i] = value
        gradients = _array([r.gradient for r in residuals])
        yield writer.function("_gradients", "Gradients of the residuals", gradients)
        yield writer.function("_hessians", "Hessians of the residuals", hessians)
        yield SQUARES
    else:
        thirds = _zeros(n, n, n)
        for *place, value in jet.thirds:
            for permuted in itertools.permutations(place):
                thirds[permuted] = value
        yield writer.function("_hessian", "H = ∇²L", _array(jet.hessian()))
        yield writer.function("_thirds", "Third derivatives of L", thirds)
        yield PLAIN
    yield FRAME.format(**_numbers(limit))
    yield writer.function("_slope", "The field v", _array(limit.slope))
    columns = _array(limit.moments.columns.tolist())
    if limit.moments.factor is None:
        yield writer.function("_covariance", "Covariance Σ of the gradient noise", columns) + GIVEN
    else:
        yield writer.function("_noise", "S with S Sᵀ = Σ", columns) + FACTORED


class _Writer:
    """Writes functions of the weights that return arrays."""

    def __init__(self, weights: Sequence[sp.Symbol]) -> None:
        self.weights = list(weights)
        self.names = readable_names(weights, "w", taken=("w", "out", "shape"))

    def function(self, name: str, meaning: str, entries: Entries | Any) -> str:
        """A function whose value at a point is an array of expressions, or one expression."""
        array = np.array(entries, dtype=object)
        places = [index for index, x in np.ndenumerate(array) if x != 0]
        values = [sp.sympify(array[index]) for index in places]
        check_expressions(self.weights, values)
        shape = "".join(f", {size}" for size in array.shape)
        tail = f"({shape[2:]}{',' if array.ndim == 1 else ''})"
        shared, texts = self._code(values)
        unpacked = ", ".join(self.names) + ("," if len(self.names) == 1 else "")
        body = [
            f"{unpacked} = np.moveaxis(np.asarray(w, dtype=float), -1, 0)",
            *shared,
            f"out = np.zeros({self.names[0]}.shape + {tail})",
            *(
                f"out[{', '.join(('...', *map(str, index)))}] = {text}"
                for index, text in zip(places, texts, strict=True)
            ),
            "return out",
        ]
        lines = "\n".join(f"    {line}" for line in body)
        return f'\n\ndef {name}(w):\n    """{meaning}, shape (...{shape})."""\n{lines}\n'

    def _code(self, values: list[sp.Expr]) -> tuple[list[str], list[str]]:
        """Statements for common subexpressions, and the code of the values."""
        fresh = (s for s in sp.numbered_symbols("x", real=True) if str(s) not in self.names)
        shared, reduced = sp.cse(values, symbols=fresh, order="none", list=True)
        names = dict(zip(self.weights, self.names, strict=True))
        printer = _Printer(names | {s: str(s) for s, _ in shared})
        statements = [f"{s} = {printer.doprint(value)}" for s, value in shared]
        return statements, [printer.doprint(value) for value in reduced]


class _Printer(NumPyPrinter):
    """NumPy code with `np.` in front, for arrays that broadcast."""

    def __init__(self, names: dict[sp.Symbol, str]) -> None:
        super().__init__({"fully_qualified_modules": True, "strict": False})
        self.names = names

    def doprint(self, expr: Any, assign_to: Any = None) -> str:
        text = str(super().doprint(expr, assign_to))
        if (
            set(self.module_imports) - {"numpy"} or "\n" in text
        ):  # sympy writes a remark above what it cannot translate
            raise CodeGenerationError(f"{sp.sstr(expr)}: it holds a function that NumPy lacks")
        return text.replace("numpy.", "np.")

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self.names[expr]

    def _print_Max(self, expr: sp.Max) -> str:
        return reduce("np.maximum({}, {})".format, map(self._print, expr.args))

    def _print_Min(self, expr: sp.Min) -> str:
        return reduce("np.minimum({}, {})".format, map(self._print, expr.args))


def _array(nested: Any) -> Entries:
    return np.array(nested, dtype=object)


def _zeros(*shape: int) -> Entries:
    return np.zeros(shape, dtype=object)
