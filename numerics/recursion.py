"""A stochastic recursion w ← F(w, η), fused with its noise into one compiled loop over blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .kernels import assignments, module_header, readable_names
from .modules import load_generated
from .noise import NoiseSampler
from .streams import LANES

RESERVED = tuple(
    [
        "advance",
        "b",
        "begin",
        "bits",
        "block",
        "constants",
        "distance",
        "E",
        "far",
        "FAST",
        "first",
        "home",
        "i",
        "j",
        "k",
        "lengths",
        "m",
        "noise",
        "njit",
        "one",
        "other",
        "record",
        "row",
        "S",
        "segment",
        "slots",
        "states",
        "tables",
        "taken",
        "draw",
        "W",
    ]
)
"""Names that the generated loop uses itself."""


@dataclass(frozen=True)
class Recursion:
    """The update w ← F(w, η; c) of many independent paths.

    Attributes
    ----------
    name : str
        A Python identifier; it names the generated module.
    state, noise, constants : tuple of Symbol
        w, η and the numbers c that a run holds fixed.
    update : tuple of Expr
        F, one expression a state coordinate.
    sampler : NoiseSampler
        How η is drawn.
    recorded : int
        How many of the state coordinates, from the first, are recorded and watched.
    """

    name: str
    state: tuple[Any, ...]
    noise: tuple[Any, ...]
    constants: tuple[Any, ...]
    update: tuple[Any, ...]
    sampler: NoiseSampler
    recorded: int

    @cached_property
    def advance(self) -> Callable[..., None]:
        """The compiled loop."""
        return load_generated(self.name, _source(self, watched=False)).advance

    @cached_property
    def advance_watched(self) -> Callable[..., None]:
        """The compiled loop that also follows the largest distance from `home`."""
        return load_generated(self.name, _source(self, watched=True)).advance

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the expressions do.
        return Recursion, tuple(getattr(self, name) for name in self.__dataclass_fields__)


def _source(recursion: Recursion, watched: bool) -> str:
    n, sampler = len(recursion.state), recursion.sampler
    state = ", ".join(map(str, recursion.state))
    lines = module_header(f"{recursion.name}: steps of the recursion of ({state}).")
    lines += [
        "",
        '@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)',
        "def advance(",
        "    states, bits, noise, home, far, constants, tables, first, lengths, slots, record",
        "):",
        *(f"    {line}" for line in _docstring(recursion)),
        "    vm.wide_vectors()",
        f"    W = np.empty(({n}, {LANES}))",
        f"    S = np.empty((4, {LANES}), np.uint64)",
        f"    E = np.empty(({sampler.rows}, {LANES}))",
        *(f"    {name} = constants[{i}]" for i, name in enumerate(_names(recursion)[2])),
        *(f"    table{i} = tables[{i}]" for i in range(len(sampler.draws))),
        "    for block in range(len(states)):",
        *_copy(n, "W[i, b]", "states[block, i, b]"),
        *_copy(4, "S[i, b]", "bits[block, i, b]"),
        *_copy(sampler.rows, "E[i, b]", "noise[block, i, b]"),
        "        begin = first",
        "        for segment in range(len(lengths)):",
        "            for k in range(begin, begin + lengths[segment]):",
        *(f"                {line}" for line in _draw_lines(sampler)),
        f"                for b in range({LANES}):",
        *(f"                    {line}" for line in _step_lines(recursion, watched)),
        "            begin += lengths[segment]",
        "            if slots[segment] >= 0:",
        f"                for b in range(min({LANES}, len(record) - {LANES} * block)):",
        f"                    for i in range({recursion.recorded}):",
        f"                        record[{LANES} * block + b, slots[segment], i] = W[i, b]",
        *_copy(n, "states[block, i, b]", "W[i, b]"),
        *_copy(4, "bits[block, i, b]", "S[i, b]"),
        *_copy(sampler.rows, "noise[block, i, b]", "E[i, b]"),
    ]
    return "\n".join(lines) + "\n"


def _names(recursion: Recursion) -> tuple[list[str], list[str], list[str]]:
    state = readable_names(recursion.state, "w", RESERVED)
    noise = readable_names(recursion.noise, "eta", (*RESERVED, *state))
    constants = readable_names(recursion.constants, "c", (*RESERVED, *state, *noise))
    return state, noise, constants


def _copy(rows: int, target: str, source: str) -> list[str]:
    return [
        f"        for i in range({rows}):",
        f"            for b in range({LANES}):",
        f"                {target} = {source}",
    ]


def _draw_lines(sampler: NoiseSampler) -> list[str]:
    lines = []
    for i, draw in enumerate(sampler.draws):
        code = draw.code(f"table{i}")
        if draw.period > 1:
            code = [f"if k % {draw.period} == 0:", *(f"    {line}" for line in code)]
        lines += code
    return lines


def _step_lines(recursion: Recursion, watched: bool) -> list[str]:
    state, noise, constants = _names(recursion)
    lines = [f"{name} = W[{i}, b]" for i, name in enumerate(state)]
    for name, (row, stride, period) in zip(noise, recursion.sampler.positions, strict=True):
        index = f"{row}" if period == 1 else f"{row} + {stride} * (k % {period})"
        lines.append(f"{name} = E[{index}, b]")
    lines += assignments(
        (*recursion.state, *recursion.noise, *recursion.constants),
        (*state, *noise, *constants),
        recursion.update,
        [f"W[{i}, b]" for i in range(len(state))],
    )
    if watched:
        terms = [f"(W[{i}, b] - home[block, {i}, b])**2" for i in range(recursion.recorded)]
        lines.append(f"distance = {' + '.join(terms)}")
        # Written so that a distance that is not a number is taken over.
        lines.append("far[block, b] = far[block, b] if distance <= far[block, b] else distance")
    return lines


def _docstring(recursion: Recursion) -> list[str]:
    n, rows = len(recursion.state), recursion.sampler.rows
    return [
        f'"""Advance every block of {LANES} paths by sum(lengths) steps.',
        "",
        "Parameters",
        "----------",
        f"states : float64 array, shape (blocks, {n}, {LANES})",
        f"    Rows {', '.join(map(str, recursion.state))}; changed in place, like the next two.",
        f"bits : uint64 array, shape (blocks, 4, {LANES})",
        "    States of the random number generators.",
        f"noise : float64 array, shape (blocks, {rows}, {LANES})",
        f"    Buffer of the noise {', '.join(map(str, recursion.noise))}.",
        f"home, far : float64 arrays, shapes (blocks, {n}, {LANES}) and (blocks, {LANES})",
        "    Points, and the largest squared distance from them so far (if that is followed).",
        f"constants : float64 array: {', '.join(map(str, recursion.constants))}",
        "tables : tuple of float64 matrices",
        "    What the laws need to know.",
        "first : int",
        "    Index of the first step.",
        "lengths, slots : int64 arrays",
        "    Steps of each segment, and its place in `record` (−1: not recorded).",
        f"record : float64 array, shape (paths, times, {recursion.recorded})",
        '"""',
    ]
