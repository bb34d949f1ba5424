"""A stochastic recursion w ← F(w, η), fused with its noise into one compiled loop over blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ..random.lanes import LANES
from ..random.samplers import NoiseSampler
from ..random.statements import For, If, Lanes, Statement
from ..random.streams import Doubles
from .cache import load_generated
from .functions import content_of, module_header
from .plain import plain_function
from .printing import assignments, in_numba, readable_names

ARGUMENTS = (
    "states", "bits", "noise", "home", "far", "constants", "tables", "noisy",
    "first", "lengths", "slots", "record",
)  # fmt: skip
"""Arguments of the loop."""

Names = tuple[list[str], list[str], list[str]]
"""What state, noise and constants are called in the code."""


@dataclass(frozen=True)
class Recursion:
    """The update w ← F(w, η; c) of many independent paths.

    Attributes
    ----------
    name : str
        A Python identifier; it names the generated module.
    state, noise, constants : tuple of Symbol
        w, η and the numbers c that a run holds fixed.
    sampler : NoiseSampler
        How η is drawn.
    recorded : int
        How many of the state coordinates, from the first, are recorded and watched.
    update : callable
        Makes F, one expression per state coordinate; called only if there is no compiled code yet.
    content : str
        Text that determines F, given the rest.
    """

    reserved: ClassVar[tuple[str, ...]] = ()
    """Names in the code that no symbol may take."""

    name: str
    state: tuple[Any, ...]
    noise: tuple[Any, ...]
    constants: tuple[Any, ...]
    sampler: NoiseSampler
    recorded: int
    update: Callable[[], Sequence[Any]]
    content: str

    @cached_property
    def advance(self) -> Callable[..., None]:
        """The compiled loop."""
        return self._load(watched=False)

    @cached_property
    def advance_watched(self) -> Callable[..., None]:
        """The compiled loop that also follows the largest distance from `home`."""
        return self._load(watched=True)

    @cached_property
    def plain(self) -> Callable[..., None]:
        """The loop of `advance` in NumPy, block by block, which also watches."""
        count = _rows(self)
        statements = [f"rows = np.empty(({count}, {LANES}))", *_tree(self, watched=True)]
        return plain_function("advance", ARGUMENTS, statements)

    def tables(self, sigma: float) -> tuple[Doubles, ...]:
        """Numbers that the loop needs at noise scale σ: those of the draws first."""
        return self.sampler.tables(sigma)

    def statements(self, names: Names, watched: bool) -> list[Statement]:
        """Code of one step of a block, given what state, noise and constants are called."""
        return [Lanes(*_step(self, names, watched))]

    def source(self, watched: bool) -> str:
        """Text of the generated module."""
        header = module_header(f"{self.name}: steps of the recursion of ({_listed(self.state)}).")
        return "\n".join([*header, *_function(self, watched)]) + "\n"

    def _load(self, watched: bool) -> Callable[..., None]:
        rest = (self.state, self.noise, self.constants, self.recorded, watched)
        content = f"{content_of(*rest)} {self.sampler!r} {self.content}"
        return load_generated(self.name, content, lambda: self.source(watched)).advance


@dataclass(frozen=True)
class JoinedRecursion(Recursion):
    """Steps with something more that happens after some of them.

    Attributes
    ----------
    joins : tuple of (first, every, expressions)
        After step `first`, counted from one, and each `every` steps later: next state.
    """

    joins: tuple[tuple[int, int, Sequence[Any]], ...]

    def statements(self, names: Names, watched: bool) -> list[Statement]:
        """Code of one step of a block, and of what follows it."""
        found = super().statements(names, watched)
        state, _, constants = names
        rows = [f"W[{i}, b]" for i in range(len(state))]
        inputs = (*self.state, *self.constants), (*state, *constants)
        for first, every, update in self.joins:
            loads = (f"{name} = {row}" for name, row in zip(state, rows, strict=True))
            after = Lanes(*loads, assignments(*inputs, update, rows))
            found.append(If(f"(k + 1) % {every} == {first % every}", after))
        return found


def _function(recursion: Recursion, watched: bool) -> list[str]:
    return [
        "",
        "@compiled",
        "def advance(",
        f"    {', '.join(ARGUMENTS[:8])},",
        f"    {', '.join(ARGUMENTS[8:])},",
        "):",
        *in_numba(
            [*_docstring(recursion), *_memory(recursion), *_tree(recursion, watched)], depth=1
        ),
    ]


def _tree(recursion: Recursion, watched: bool) -> list[Statement]:
    """Body of the loop, in names that it does not use otherwise."""
    text = "\n".join(in_numba([*_memory(recursion), *_loop(recursion, [], [])]))
    own = {*recursion.reserved, *re.findall(r"\w+", text)}
    state = readable_names(recursion.state, "w", own)
    noise = readable_names(recursion.noise, "eta", {*own, *state})
    constants = readable_names(recursion.constants, "c", {*own, *state, *noise})
    step = recursion.statements((state, noise, constants), watched)
    return _loop(recursion, constants, step)


def _rows(recursion: Recursion) -> int:
    """Rows of numbers that a block needs."""
    return len(recursion.state) + recursion.sampler.rows + 4


def _memory(recursion: Recursion) -> list[str]:
    """Rows for numba."""
    return [
        "lanes.wide_vectors()",
        # One array for all: compilers then see that they do not overlap.
        f"rows = lanes.rows({_rows(recursion)})",
    ]


def _loop(
    recursion: Recursion, constants: Sequence[str], step: Sequence[Statement]
) -> list[Statement]:
    """Body of the loop, around the statements of one step of a block."""
    n, sampler = len(recursion.state), recursion.sampler
    return [
        f"W = rows[:{n}]",
        f"E = rows[{n}:{n + sampler.rows}]",
        f"S = rows[{n + sampler.rows}:].view(np.uint64)",
        *(f"{name} = constants[{i}]" for i, name in enumerate(constants)),
        *sampler.loads,
        For(
            "block",
            "len(states)",
            _copy(n, "W[i, b]", "states[block, i, b]"),
            _copy(4, "S[i, b]", "bits[block, i, b]"),
            _copy(sampler.rows, "E[i, b]", "noise[block, i, b]"),
            "begin = first",
            For("segment", "len(lengths)", *_segment(recursion, step)),
            _copy(n, "states[block, i, b]", "W[i, b]"),
            _copy(4, "bits[block, i, b]", "S[i, b]"),
            _copy(sampler.rows, "noise[block, i, b]", "E[i, b]"),
        ),
    ]


def _segment(recursion: Recursion, step: Sequence[Statement]) -> list[Statement]:
    """The steps from one recorded time to the next, and its record."""
    slot = f"record[{LANES} * block + b, slots[segment], i] = W[i, b]"
    paths = f"min({LANES}, len(record) - {LANES} * block)"
    return [
        For("k", "begin, begin + lengths[segment]", *recursion.sampler.statements, *step),
        "begin += lengths[segment]",
        If("slots[segment] >= 0", For("b", paths, For("i", recursion.recorded, slot))),
    ]


def _copy(rows: int, target: str, source: str) -> Statement:
    return For("i", rows, Lanes(f"{target} = {source}"))


def _step(recursion: Recursion, names: Names, watched: bool) -> list[Statement]:
    state, noise, constants = names
    lines: list[Statement] = [f"{name} = W[{i}, b]" for i, name in enumerate(state)]
    for name, position in zip(noise, recursion.sampler.positions, strict=True):
        lines.append(f"{name} = E[{row_of(position)}, b]")
    code = assignments(
        (*recursion.state, *recursion.noise, *recursion.constants),
        (*state, *noise, *constants),
        recursion.update(),
        [f"W[{i}, b]" for i in range(len(state))],
    )
    return [*lines, code, *(watch_lines(recursion.recorded) if watched else [])]


def row_of(position: tuple[int, int, int]) -> str:
    """Row of the noise buffer at step k, as text."""
    row, stride, period = position
    return f"{row}" if period == 1 else f"{row} + {stride} * (k % {period})"


def watch_lines(recorded: int) -> list[str]:
    """Statements that follow the largest squared distance of a path from `home`."""
    terms = [f"(W[{i}, b] - home[block, {i}, b])**2" for i in range(recorded)]
    return [
        f"distance = {' + '.join(terms)}",
        # Written so that a distance of NaN is kept.
        "far[block, b] = far[block, b] if distance <= far[block, b] else distance",
    ]


def _docstring(recursion: Recursion) -> list[str]:
    n, rows = len(recursion.state), recursion.sampler.rows
    return [
        f'"""Advance every block of {LANES} paths by sum(lengths) steps.',
        "",
        "Parameters",
        "----------",
        f"states : float64 array, shape (blocks, {n}, {LANES})",
        f"    Rows {_listed(recursion.state)}; changed in place, like the next two.",
        f"bits : uint64 array, shape (blocks, 4, {LANES})",
        "    States of the random number generators.",
        f"noise : float64 array, shape (blocks, {rows}, {LANES})",
        f"    Buffer of the noise {_listed(recursion.noise)}.",
        f"home, far : float64 arrays, shapes (blocks, {n}, {LANES}) and (blocks, {LANES})",
        "    Points, and the largest squared distance from them so far (if that is followed).",
        f"constants : float64 array: {_listed(recursion.constants)}",
        "tables : tuple of float64 matrices",
        "    What the laws need to know.",
        "noisy : bool",
        "    Whether to draw noise; without, the buffer is left as it is.",
        "first : int",
        "    Index of the first step.",
        "lengths, slots : int64 arrays",
        "    Steps of each segment, and its place in `record` (−1: not recorded).",
        f"record : float64 array, shape (paths, times, {recursion.recorded})",
        '"""',
    ]


def _listed(symbols: Sequence[Any]) -> str:
    return ", ".join(map(str, symbols))
