"""Statements in plain NumPy: slower, easy to read, and what compiled code is held to.

It is the text for numba without its loops over independent indices: such an index, that of the
paths of a block for one, is an array of all its values. Random numbers are the same.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from derive.export.arrays import ArrayPrinter
from derive.export.assignments import Assignments

from ..random.samplers import NoiseSampler
from ..random.statements import Each, For, If, Statement
from ..random.streams import Doubles, Seed, initial_states
from .cache import load_generated

HEADER = '''"""Plain NumPy, generated from the statements that are compiled elsewhere."""

import numpy as np
import scipy.special

from numerics.random import plain_streams as streams
'''


def in_numpy(statements: Sequence[Statement], depth: int = 0, index: str = "") -> list[str]:
    """Lines of Python that compute with arrays.

    Parameters
    ----------
    statements : sequence of Statement
        The tree.
    depth : int
        Indentation of the first line.
    index : str
        Name of the index that stands for all its values at once.
    """
    lines: list[str] = []
    for statement in statements:
        body: list[str] = []
        match statement:
            case Assignments():
                printer = ArrayPrinter(statement.names, scipy=True)
                pairs = (*statement.shared, *statement.results)
                head = [f"{target} = {printer.doprint(value)}" for target, value in pairs]
            case Each():
                head = [f"{statement.index} = slice(None)"]
                head += in_numpy(statement.body, index=statement.index)
            case For():
                head = [f"for {statement.index} in range({statement.over}):"]
                body = in_numpy(statement.body, depth=1, index=index)
            case If():
                head = [f"if {statement.condition}:"]
                body = in_numpy(statement.body, depth=1, index=index)
            case str():
                head = [ast.unparse(_OfArrays(index).visit(ast.parse(statement)))]
        lines += ["    " * depth + line for line in (*head, *body)]
    return lines


class _OfArrays(ast.NodeTransformer):
    """Python of scalars as Python of arrays, for all values of an index."""

    def __init__(self, index: str) -> None:
        self.index = index

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        """A name keeps its values when the rows that they were read from change."""
        self.generic_visit(node)
        read = isinstance(node.value, ast.Subscript) and self._varies(node.value)
        if read and isinstance(node.targets[0], ast.Name):
            node.value = ast.Call(_parsed("np.array"), [node.value], [])
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        """Where another index varies with it, they go through their values together."""
        self.generic_visit(node)
        if isinstance(node.slice, ast.Tuple):
            places = node.slice.elts
            if any(self._varies(place) for place in places if not isinstance(place, ast.Name)):
                node.slice.elts = [
                    _parsed(f"np.arange({ast.unparse(node.value)}.shape[{axis}])")
                    if isinstance(place, ast.Name) and place.id == self.index
                    else place
                    for axis, place in enumerate(places)
                ]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.Call:
        self.generic_visit(node)
        return ast.Call(_parsed("np.where"), [node.test, node.body, node.orelse], [])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _parsed(_COUNTERPARTS[node.id]) if node.id in _COUNTERPARTS else node

    def _varies(self, node: ast.expr) -> bool:
        return any(isinstance(n, ast.Name) and n.id == self.index for n in ast.walk(node))


_COUNTERPARTS = {"int": "np.int64", "math": "np"}


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def plain_function(
    name: str, arguments: Sequence[str], statements: Sequence[Statement]
) -> Callable[..., None]:
    """A function made of statements, in NumPy."""
    lines = [HEADER, "", f"def {name}({', '.join(arguments)}):", *in_numpy(statements, depth=1)]
    text = "\n".join(lines) + "\n"
    found: Any = getattr(load_generated(f"plain_{name}", text, lambda: text), name)
    return found


def plain_noise(
    sampler: NoiseSampler, sigma: float, paths: int, seed: Seed, first: int = 0
) -> Iterator[Doubles]:
    """Noise of step 0, 1, … of each path, shape (paths, d); the random numbers of compiled code.

    Parameters
    ----------
    sampler : NoiseSampler
        How it is drawn.
    sigma : float
        Noise scale.
    paths : int
        Number of paths.
    seed : int or sequence of int
        Seed of the run.
    first : int
        Index of the first path.
    """
    arguments = ("E", "S", "tables", "noisy", "k")
    draw = plain_function("draw", arguments, [*sampler.loads, *sampler.statements])
    E, S = np.zeros((sampler.rows, paths)), initial_states(seed, first, paths)
    tables = sampler.tables(sigma)
    for k in itertools.count():
        draw(E, S, tables, True, k)
        yield E[[row + stride * (k % period) for row, stride, period in sampler.positions]].T
