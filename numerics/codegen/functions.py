"""The code generator: sympy expressions become readable Python modules, compiled by numba.

A generated function takes scalars in a stated order, shares common subexpressions, and keeps the
factored form of what it is given. It lives in a file named by its content (see `cache`), so
numba caches its machine code from one process to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from ..arguments import doubles
from ..errors import ArgumentError, CodeGenerationError
from ..random.statements import Each, Statement
from .cache import load_generated
from .deferred_sigint import compiling_to_the_end
from .plain import plain_function
from .printing import assignments, check_expressions, in_numba, readable_names


def content_of(*parts: Any) -> str:
    """Text that two models share only if they are the same, assumptions on symbols included.

    Parts are expressions, numbers, texts, sequences of them, and dataclasses, of which every field
    counts.

    Every subexpression is looked at once, however often it occurs: written out, those of a net
    with many masks fill a hundred megabytes.
    """
    digests: dict[sp.Basic, str] = {}

    def text(part: Any) -> str:
        if part is None or isinstance(part, str | int | float):
            return repr(part)
        if isinstance(part, sp.MatrixBase):
            return text((part.shape, tuple(part)))
        if isinstance(part, (tuple, list)):
            return f"({', '.join(map(text, part))})"
        if is_dataclass(part):
            values = [(field.name, getattr(part, field.name)) for field in fields(part)]
            return f"{type(part).__qualname__}{text(values)}"
        if not isinstance(part, sp.Basic):
            raise CodeGenerationError(
                f"{part!r}: a {type(part).__name__} has no content to tell models apart by; "
                "make it a dataclass"
            )
        if not part.args:
            return sp.srepr(part)
        if part not in digests:
            whole = f"{type(part).__name__}{text(part.args)}"
            digests[part] = hashlib.sha256(whole.encode()).hexdigest()
        return digests[part]

    return text(parts)


def module_header(about: str) -> list[str]:
    """First lines of every generated module: what it is, and imports."""
    return [
        f'"""{about}',
        "",
        "Generated code, named by its content; edits would not be followed.",
        '"""',
        "",
        "import math",
        "",
        "import numpy as np",
        "",
        "from numerics.codegen.kernels import compiled",
        "from numerics.random import elementary_functions as vm",
        "from numerics.random import lanes, streams",
        "",
    ]


@dataclass(frozen=True)
class CompiledFunction:
    """Expressions as a function of points, compiled at the first call.

    Called with `points` of shape (..., n), float64, it returns values of shape (..., *shape).

    Attributes
    ----------
    name : str
        What the function is called in the generated module.
    inputs : tuple of Symbol
        The n coordinates of a point, in order.
    outputs : tuple of Expr
        The values, flattened in row-major order.
    shape : tuple of int
        Shape of the value at one point: () of a scalar, (m,) of a sequence, (r, c) of a matrix.
    """

    name: str
    inputs: tuple[sp.Symbol, ...]
    outputs: tuple[sp.Expr, ...]
    shape: tuple[int, ...]

    @compiling_to_the_end()
    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Values at `points`, shape (..., n), by the compiled code."""
        x, flat = self._flattened(points)
        values = np.empty((len(flat), len(self.outputs)))
        self.batch(flat, values)
        return values.reshape(x.shape[:-1] + self.shape)

    def reference(self, points: ArrayLike) -> NDArray[np.float64]:
        """Values by plain NumPy: short, slower, and what the compiled code is held to."""
        x, flat = self._flattened(points)
        values = np.empty((len(flat), len(self.outputs)))
        plain_function(self.name, ("points", "values"), self.statements)(flat, values)
        return values.reshape(x.shape[:-1] + self.shape)

    @cached_property
    def source(self) -> str:
        """Text of the generated module."""
        return _function_source(self)

    @cached_property
    def batch(self) -> Callable[[NDArray[np.float64], NDArray[np.float64]], None]:
        """Numba function (points (P, n), values (P, m)) that fills `values`; C-ordered float64."""
        content = content_of(self.inputs, self.outputs, self.shape)
        module = load_generated(self.name, content, lambda: self.source)
        return getattr(module, self.name)

    @property
    def statements(self) -> list[Statement]:
        """Code that fills the rows of `values`."""
        names = readable_names(self.inputs, "w", {"points", "values", "p", self.name})
        targets = [f"values[p, {i}]" for i in range(len(self.outputs))]
        loads = [f"{name} = points[p, {i}]" for i, name in enumerate(names)]
        code = assignments(self.inputs, names, self.outputs, targets)
        return [Each("p", "points.shape[0]", *loads, code)]

    def _flattened(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = doubles(self.name, points)
        n = len(self.inputs)
        if x.ndim == 0 or x.shape[-1] != n:
            raise ArgumentError(
                f"{self.name}: expected points of shape (..., {n}), the last axis being "
                f"({', '.join(map(str, self.inputs))}); got shape {x.shape}"
            )
        return x, np.ascontiguousarray(x.reshape(-1, n))

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the expressions do.
        return CompiledFunction, (self.name, self.inputs, self.outputs, self.shape)


def compile_function(inputs: Sequence[sp.Symbol], outputs: Any, name: str) -> CompiledFunction:
    """Turn expressions into a fast function of many points.

    Parameters
    ----------
    inputs : sequence of Symbol
        Coordinates of a point; every free symbol of the outputs must be among them.
    outputs : Expr, sequence of Expr or matrix
        What to compute at each point.
    name : str
        A Python identifier; it names the function and its file.

    Returns
    -------
    CompiledFunction

    Raises
    ------
    CodeGenerationError
        If an output holds an unknown symbol or a function without code.
    """
    if isinstance(outputs, sp.MatrixBase):
        flat, shape = tuple(outputs), outputs.shape
    elif isinstance(outputs, sp.Expr):
        flat, shape = (outputs,), ()
    else:
        flat = tuple(sp.sympify(o) for o in outputs)
        shape = (len(flat),)
    check_expressions(inputs, flat)
    return CompiledFunction(name, tuple(inputs), flat, shape)


def _function_source(function: CompiledFunction) -> str:
    order = ", ".join(str(s) for s in function.inputs)
    lines = module_header(f"{function.name}: values of shape {function.shape} at points ({order}).")
    lines += [
        "",
        "@compiled",
        f"def {function.name}(points, values):",
        f'    """Fill the rows of `values` with flattened values of shape {function.shape}.',
        "",
        "    Parameters",
        "    ----------",
        f"    points : float64 array, shape (P, {len(function.inputs)})",
        f"        Columns {order}.",
        f"    values : float64 array, shape (P, {len(function.outputs)})",
        '    """',
        *in_numba(function.statements, depth=1),
    ]
    return "\n".join(lines) + "\n"
