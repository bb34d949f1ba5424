"""Where a program is not smooth: kinks of its operations, and in which cell between them it is.

A program of JAX is read operation by operation. The cell is known by what its kinked operations do
there: the slope of a piecewise linear one (ReLU, max, abs), the value of a step, the branch taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LINEAR = {"max", "min", "abs", "clamp", "reduce_max", "reduce_min", "reduce_window_max", "sort"}
"""Operations of JAX that are linear in pieces."""
JUMPS = {"sign", "floor", "ceil", "round"}
"""Operations that are constant in pieces."""
BRANCH = "select_n"
"""The choice between two values."""
FUNCTIONS = {"relu", "relu6", "leaky_relu"}
"""Functions with kinks among those for which JAX has a rule of its own; the rest are smooth,
though their code may branch (softplus)."""
RULED = "custom_jvp_call"
CALLS = {"jit", "pjit", "closed_call", "remat2", "checkpoint", "custom_vjp_call"}
"""Operations that are a program of their own, run once."""


def kinks(function: Callable[..., Any], *arguments: Any) -> tuple[str, ...]:
    """Names of the operations of a function that are not smooth, such as max."""
    program = jax.make_jaxpr(function)(*arguments)
    return tuple(sorted(set(_names(program.jaxpr))))


def cell(function: Callable[..., Any]) -> Callable[..., Any]:
    """Traced: what the kinked operations of a function do at its arguments, shape (kinks,).

    Those inside of loops (`scan`, `while`) and `cond` are not seen.
    """

    def found(*arguments: Any) -> Any:
        program = jax.make_jaxpr(function)(*arguments)
        sides: list[Any] = []
        _evaluated(program.jaxpr, program.consts, jax.tree.leaves(arguments), sides)
        parts = [jnp.ravel(side).astype(np.float32) for side in sides]
        return jnp.concatenate(parts) if parts else jnp.zeros(0, np.float32)

    return found


def _names(program: Any) -> Iterator[str]:
    """Names of what is not smooth in a traced program, and in those that it calls."""
    for step in _differentiated(program):
        if (name := _kinked(step)) is not None:
            yield name
        elif step.primitive.name != RULED:
            for inner in _programs(step):
                yield from _names(inner)


def _kinked(step: Any) -> str | None:
    name = str(step.primitive.name)
    if name == RULED:
        called = step.params["call_jaxpr"].jaxpr.debug_info.func_name
        return next((function for function in FUNCTIONS if called == function), None)
    # A maximum with −∞ is how those of whole arrays begin.
    plain = any(getattr(x, "val", 0.0) == -np.inf for x in step.invars)
    return name if name in LINEAR | JUMPS | {BRANCH} and not plain else None


def _programs(step: Any) -> Iterator[Any]:
    for value in step.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner


def _differentiated(program: Any) -> list[Any]:
    """Steps on which derivatives of the results depend; softmax subtracts a maximum as given."""
    needed = {id(x) for x in program.outvars}
    steps = []
    for step in reversed(program.eqns):
        if step.primitive.name != "stop_gradient" and any(id(x) in needed for x in step.outvars):
            needed |= {id(x) for x in step.invars}
            steps.append(step)
    return steps[::-1]


def _evaluated(program: Any, constants: Any, arguments: Any, sides: list[Any]) -> list[Any]:
    """Results of a traced program; what its kinked operations do is appended to `sides`."""
    known: dict[Any, Any] = {}

    def read(x: Any) -> Any:
        return x.val if hasattr(x, "val") else known[x]

    known.update(zip((*program.constvars, *program.invars), (*constants, *arguments), strict=True))
    smooth = {id(step) for step in _differentiated(program)}
    for step in program.eqns:
        given = [read(x) for x in step.invars]
        name = _kinked(step) if id(step) in smooth else None
        if name is not None:
            sides.append(_side(step, name, given))
        if name is None and step.primitive.name in CALLS:
            inner = next(_programs(step))
            results = _evaluated(inner, _constants(step), given, sides)
        else:
            results = _bound(step, given)
        known.update(zip(step.outvars, results, strict=True))
    return [read(x) for x in program.outvars]


def _constants(step: Any) -> Any:
    return next((v.consts for v in step.params.values() if hasattr(v, "consts")), ())


def _side(step: Any, name: str, given: list[Any]) -> Any:
    if name == BRANCH:
        return given[0]
    if name in JUMPS:
        return _bound(step, given)[0]
    place = next(i for i, x in enumerate(step.invars) if not hasattr(x, "val"))

    def of_one(x: Any) -> Any:
        return _bound(step, [*given[:place], x, *given[place + 1 :]])[0]

    value, slopes = jax.vjp(of_one, given[place])
    return slopes(jnp.reshape(jnp.arange(1, value.size + 1, dtype=value.dtype), value.shape))[0]


def _bound(step: Any, given: list[Any]) -> list[Any]:
    params = step.primitive.get_bind_params(step.params)
    # Before JAX 0.8 with the functions that it calls.
    functions, params = params if isinstance(params, tuple) else ((), params)
    found = step.primitive.bind(*functions, *given, **params)
    return list(found) if step.primitive.multiple_results else [found]
