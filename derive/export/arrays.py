"""A limit as a file of plain NumPy, or of JAX, that knows nothing of this project.

Both are one text: JAX has the functions of NumPy under the same names, and sets entries in its own
way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.numpy import NumPyPrinter, SciPyPrinter

from ..errors import NotCoveredError
from .assignments import Assignments, usable_names
from .program import Function, Program

HEADER = '''"""dW = b(W) dt + s(W) dB on Γ: the limit of a noisy gradient descent, in {title}.

{summary}

Functions take points w of Γ, shape (..., {dimension}), the last axis being ({names}), and keep the
leading axes. One unit of slow time is {unit}.{remark}
"""

{imports}
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


@dataclass(frozen=True)
class Dialect:
    """How one library says what the other says, too.

    Attributes
    ----------
    title, imports, remark : str
        Its name, the statement that imports it, and what its user should know.
    alias : str
        What it is called in the code.
    setting : str
        Statement that sets an entry of an array, with {place} and {value}.
    """

    title: str
    imports: str
    alias: str
    setting: str
    remark: str = ""


NUMPY = Dialect("plain NumPy", "import numpy as np", "np", "out[{place}] = {value}")
JAX = Dialect(
    "JAX",
    "import jax.numpy as jnp",
    "jnp",
    "out = out.at[{place}].set({value})",
    '\n\nNumbers have 64 bits after jax.config.update("jax_enable_x64", True).',
)


def in_arrays(program: Program, dialect: Dialect) -> str:
    """The text of a module of array functions.

    Raises
    ------
    NotCoveredError
        If the program holds a function that the library lacks.
    """
    writer = _Writer(program.weights, dialect)
    header = HEADER.format(
        title=dialect.title,
        summary=program.summary.replace("\\", "\\\\"),
        dimension=program.dimension,
        names=", ".join(writer.names),
        unit=program.unit,
        remark=dialect.remark,
        imports=dialect.imports,
    )
    body = [writer.function(f) for f in program.functions]
    body += _linear_algebra(program)
    return header + re.sub(r"\bnp\.", f"{dialect.alias}.", "".join(body))


def _linear_algebra(program: Program) -> list[str]:
    """What is computed at a point from the derivatives of the model."""
    if not program.derived:
        return []
    numbers = dict(program.numbers, dimension=program.dimension, rank=program.codimension)
    parts = [SQUARES if program.squares else PLAIN, FRAME, FACTORED if program.factored else GIVEN]
    parts += [_TEMPLATES[name] for name in program.derived]
    return [part.format(**numbers) for part in parts]


_TEMPLATES = {"projector": PROJECTOR, "drift": DRIFT, "diffusion": DIFFUSION}


class _Writer:
    """Writes functions of the weights that return arrays."""

    def __init__(self, weights: Sequence[sp.Symbol], dialect: Dialect) -> None:
        self.weights = list(weights)
        self.names = usable_names(weights, taken=("w", "out", "shape", "np", "jnp", "abs"))
        self.dialect = dialect

    def function(self, f: Function) -> str:
        """The text of one function."""
        shape = "".join(f", {size}" for size in f.shape)
        tail = f"({shape[2:]}{',' if len(f.shape) == 1 else ''})"
        places = [", ".join(("...", *map(str, place))) for place, _ in f.entries]
        names = dict(zip(self.weights, self.names, strict=True))
        code = Assignments.of(places, [value for _, value in f.entries], names)
        printer = ArrayPrinter(code.names)
        unpacked = ", ".join(self.names) + ("," if len(self.names) == 1 else "")
        body = [
            f"{unpacked} = np.moveaxis(np.asarray(w, dtype=float), -1, 0)",
            *(f"{name} = {printer.doprint(value)}" for name, value in code.shared),
            f"out = np.zeros({self.names[0]}.shape + {tail})",
            *(
                self.dialect.setting.format(place=place, value=printer.doprint(value))
                for place, value in code.results
            ),
            "return out",
        ]
        lines = "\n".join(f"    {line}" for line in body)
        return f'\n\ndef {f.name}(w):\n    """{f.meaning}, shape (...{shape})."""\n{lines}\n'


class ArrayPrinter(SciPyPrinter):
    """NumPy code with `np.` in front, for arrays that broadcast.

    Parameters
    ----------
    names : mapping of Symbol to str
        What symbols are called.
    scipy : bool
        Whether functions of `scipy.special` may be called.
    """

    _kc = SciPyPrinter._kc | NumPyPrinter._kc

    def __init__(self, names: Mapping[sp.Symbol, str], *, scipy: bool = False) -> None:
        super().__init__({"fully_qualified_modules": True})
        self.names = names
        self._libraries = {"numpy", "scipy.special"} if scipy else {"numpy"}

    def doprint(self, expr: Any, assign_to: Any = None) -> str:
        """Code of an expression, or `NotCoveredError` if it holds a function without any."""
        try:
            text = str(super().doprint(expr, assign_to))
        except PrintMethodNotImplementedError:
            text = ""
        if not text or set(self.module_imports) - self._libraries:
            raise NotCoveredError(
                f"{sp.sstr(expr)}: it holds a function that NumPy lacks; export the limit to "
                "another language, or compile it with numerics.compile_limit"
            )
        return text.replace("numpy.", "np.")

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self.names[expr]

    def _print_Max(self, expr: sp.Max) -> str:
        return reduce("np.maximum({}, {})".format, map(self._print, expr.args))

    def _print_Min(self, expr: sp.Min) -> str:
        return reduce("np.minimum({}, {})".format, map(self._print, expr.args))

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        text = "np.nan"
        for value, condition in reversed(expr.args):
            chosen = self._print(value)
            if condition != sp.true:
                chosen = f"np.where({self._print(condition)}, {chosen}, {text})"
            text = chosen
        return text
