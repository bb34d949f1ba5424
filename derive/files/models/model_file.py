"""A model as a file: TOML, read without evaluating anything, or Python, which is executed.

The keys of a TOML file are listed in `derive.files.models.schema` (`describe_schema()` prints
them), the expressions are those of `derive.files.models.expressions`, and `starter` writes a file
to begin with. A Python file defines `model`, a `NoisyGradientDescent` or an `UpdateRule`, and may
define `start`, `alpha`, `sigma`, `time`, `paths` and `seed`; **loading it runs it**, so load only
Python that you trust.
"""

from __future__ import annotations

import dataclasses
import re
import runpy
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import sympy as sp

from ...errors import ModelFileError
from ...mechanisms import MECHANISMS
from ...model.penalty import split_penalty
from ...model.problem import NoisyGradientDescent
from ...model.update_rule import UpdateRule
from ...symbolic.effort import expanded_terms
from ...symbols import ScaleSymbol
from .fields import Field, Literal, located
from .law_fields import read_law
from .mechanism_fields import Mechanism, read_mechanism
from .optimizer_fields import SCALES, read_optimizer
from .schema import SCHEMA, describe_schema, starter
from .tokens import shorten
from .values import Entry, Value

__all__ = [
    "SCHEMA",
    "ModelFile",
    "RunSettings",
    "describe_schema",
    "load_model",
    "starter",
]

MAX_BYTES = 2**16
"""Size of a TOML model file."""

MAX_PARTS = 32
"""Parts of a dotted key, on which tomllib spends quadratic time."""

MAX_TERMS = 2000
"""Terms that L̂(w, 0) − L(w) may have, multiplied out to prove it zero."""


BESIDE = ("penalty", "optimizer")
"""What a mechanism knows nothing of."""

OF_RULES = {
    *("weights", "memory", "noise", "parameters", "data", "let", "update", "rest"),
    *("loss", "constraints", "law", "near", "run"),
}
"""Keys of a model that is an update rule."""


@dataclass(frozen=True)
class RunSettings:
    """What a model file says about the run; None where it says nothing.

    Attributes
    ----------
    start : tuple of float, shape (N,)
        Initial weights.
    alpha, sigma : float
        Step size α and noise scale σ.
    time : float
        End of the run in slow time.
    paths, seed : int
        Number of independent paths, and seed of their random streams.
    """

    start: tuple[float, ...] | None = None
    alpha: float | None = None
    sigma: float | None = None
    time: float | None = None
    paths: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class ModelFile:
    """A model read from a file.

    Attributes
    ----------
    problem : NoisyGradientDescent or UpdateRule
        The noise model, or the recursion.
    run : RunSettings or None
        What to simulate, if the file says.
    """

    problem: NoisyGradientDescent | UpdateRule
    run: RunSettings | None = None


def load_model(path: str | Path, mechanisms: Mapping[str, Mechanism] = MECHANISMS) -> ModelFile:
    """Read a model from a ``.toml`` file, or from a ``.py`` file by running it.

    Parameters
    ----------
    path : str or Path
        The file. TOML is only parsed; **Python is executed**.
    mechanisms : mapping of str to callable
        What the key `mechanism` may name; the catalogue if not given. The callable gets the
        table's arguments, and those of weights, noise, parameters, loss, law, constraints, chart
        and near that the file has, by name, and returns the problem.

    Raises
    ------
    ModelFileError
        With file, key and position, if the file cannot be read or is not a model.
    """
    path = Path(path)
    if path.suffix == ".py":
        return _load_python(path)
    if path.suffix != ".toml":
        raise ModelFileError("expected a file whose name ends in .toml or .py", str(path))
    top = Field(str(path), "", _read_toml(path))
    keys = top.fields("")
    return _read_rule(top, keys) if "update" in keys else _read_model(top, keys, mechanisms)


def _read_toml(path: Path) -> dict[str, Any]:
    _check_readable(path)
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"expected at most {MAX_BYTES} bytes", str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ModelFileError(f"expected UTF-8; line {line} holds other bytes", str(path)) from None
    if _DOTTED.search(text):
        raise ModelFileError(f"a key has more than {MAX_PARTS} parts", str(path))
    try:
        return tomllib.loads(text, parse_float=Literal)
    except RecursionError:
        reason = "tables or lists are nested too deep"
    except tomllib.TOMLDecodeError as error:
        reason = f"not TOML: {error}"
    except ValueError:  # Python's bound on the digits of an integer
        reason = "an integer has thousands of digits"
    raise ModelFileError(reason, str(path))


# Quoted parts are bounded so that the search takes linear time.
_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.){0,100}"|'[^'\n]{0,100}')[ \t]{0,100}\.[ \t]{0,100}"""
_DOTTED = re.compile(rf"(?<![\w-])(?:{_PART}){{{MAX_PARTS}}}")


def _check_readable(path: Path) -> None:
    """Refuse what is no regular file: reading a pipe or a terminal would wait for ever."""
    try:
        if path.is_file():
            path.open("rb").close()
            return
        reason = "expected a file" if path.exists() else "there is no such file"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    raise ModelFileError(reason, str(path))


def _read_model(
    top: Field, keys: Mapping[str, Field], mechanisms: Mapping[str, Mechanism]
) -> ModelFile:
    """Read the keys in the order in which they build on each other."""
    names: dict[str, Entry] = {}
    given: dict[str, Any] = {}
    for key in ("weights",) if "mechanism" in keys else ("weights", "noise", "loss", "noisy_loss"):
        if key not in keys:
            top.missing(key)
    for key in keys.keys() & {"memory", "rest"}:
        keys[key].fail("belongs to an update rule; give `update` too, or leave it out")
    for key in ("weights", "noise", "parameters"):
        if key in keys:
            given[key] = _declare(keys[key], names)
    _define(keys, names)
    if "loss" in keys:
        loss = keys["loss"].expression(names)
        names["loss"], given["loss"] = loss, loss.expr
    if "noisy_loss" in keys:
        given["noisy_loss"] = keys["noisy_loss"].expression(names).expr
    given |= {key: read(keys[key], names) for key, read in _READERS.items() if key in keys}
    if "near" in keys:
        given["near"] = _exprs(keys["near"].vector(names, given["weights"]))
    run = _run(keys["run"].fields("run"), given["weights"]) if "run" in keys else None
    return ModelFile(_problem(top, keys, given, names, mechanisms), run)


def _read_rule(top: Field, keys: Mapping[str, Field]) -> ModelFile:
    """A recursion as it is, with its memory."""
    keys["update"].elements("a list of expressions")
    for key in keys.keys() - OF_RULES:
        keys[key].fail(
            "says nothing about an update rule, whose `update` holds the noise and the optimizer"
        )
    for key in ("weights",) if "loss" in keys else ("weights", "constraints"):
        if key not in keys:
            top.missing(key)
    names: dict[str, Entry] = {}
    given: dict[str, Any] = {"noise": ()}
    for key in ("weights", "memory", "noise", "parameters"):
        if key in keys:
            given[key] = _declare(keys[key], names)
    _define(keys, names)
    if "loss" in keys:
        loss = keys["loss"].expression(names)
        names["loss"], given["loss"] = loss, loss.expr
    if "law" in keys:
        given["law"] = read_law(keys["law"], names)
    for key in ("constraints", "rest"):
        if key in keys:
            given[key] = _exprs(keys[key].vector(names))
    given["update"] = _exprs(keys["update"].vector({**SCALES, **names}))
    if "near" in keys:
        given["near"] = _exprs(keys["near"].vector(names, given["weights"]))
    run = _run(keys["run"].fields("run"), given["weights"]) if "run" in keys else None
    with located(keys["update"]):
        return ModelFile(UpdateRule(**given), run)


def _declare(field: Field, names: dict[str, Entry]) -> tuple[sp.Symbol, ...]:
    declared = field.names()
    for name, entry in declared.items():
        field.add_name(names, name, entry)
    return tuple(entry.expr for entry in declared.values() if isinstance(entry, Value))


def _define(keys: Mapping[str, Field], names: dict[str, Entry]) -> None:
    """Enter what data and let give a name to; each may use the names before it."""
    for key, read in (("data", _array), ("let", Field.expression)):
        if key in keys:
            for name, field in keys[key].items().items():
                field.add_name(names, name, read(field, names))


def _array(field: Field, names: Mapping[str, Entry]) -> Entry:
    if not isinstance(field.value, list):
        return field.expression(names)
    return tuple(_array(entry, names) for entry in field.elements()) or field.expected("numbers")


def _exprs(values: Iterable[Value]) -> tuple[sp.Expr, ...]:
    return tuple(value.expr for value in values)


def _chart(field: Field, names: Mapping[str, Entry]) -> tuple[tuple[sp.Expr, ...], ...]:
    keys = field.fields("chart")
    for key in ("coordinates", "embedding"):
        if key not in keys:
            field.missing(key)
    names = dict(names)
    coordinates = _declare(keys["coordinates"], names)
    return coordinates, _exprs(keys["embedding"].vector(names))


def _penalty(field: Field, names: Mapping[str, Entry]) -> sp.Expr:
    penalty = field.expression({**SCALES, **names}).expr
    with located(field):
        split_penalty(penalty)
    return penalty


def _run(keys: Mapping[str, Field], weights: Iterable[sp.Symbol]) -> RunSettings:
    values: dict[str, Any] = {
        key: keys[key].positive() for key in ("alpha", "sigma", "time") if key in keys
    }
    values |= {key: keys[key].integer(least) for key, least in _LEAST.items() if key in keys}
    if "start" in keys:
        weights = tuple(weights)
        start = keys["start"].entries(weights)
        if len(start) != len(weights):
            keys["start"].fail(f"expected {len(weights)} numbers, got {len(start)}")
        values["start"] = tuple(field.real() for field in start)
    return RunSettings(**values)


_LEAST = {"paths": 1, "seed": 0}

_READERS: dict[str, Callable[[Field, Mapping[str, Entry]], Any]] = {
    "law": read_law,
    "constraints": lambda field, names: _exprs(field.vector(names)),
    "chart": _chart,
    "penalty": _penalty,
    "optimizer": read_optimizer,
}


def _problem(
    top: Field,
    keys: Mapping[str, Field],
    given: Mapping[str, Any],
    names: Mapping[str, Entry],
    mechanisms: Mapping[str, Mechanism],
) -> NoisyGradientDescent:
    if "mechanism" in keys:
        if "noisy_loss" in keys:
            keys["mechanism"].fail("expected either `mechanism` or `noisy_loss`, got both")
        beside = {key: given[key] for key in given if key in BESIDE}
        rest = {key: given[key] for key in given if key not in BESIDE}
        problem = read_mechanism(keys["mechanism"], rest, names, mechanisms)
        with located(top):
            return dataclasses.replace(problem, **beside)
    try:
        noiseless = given["noisy_loss"].xreplace(dict.fromkeys(given["noise"], sp.S.Zero))
    except (ArithmeticError, TypeError, ValueError):  # what sympy says of complex numbers
        keys["noisy_loss"].fail("expected it to be finite and real where the noise is zero")
    if expanded_terms(noiseless - given["loss"]) > MAX_TERMS:  # the problem is to prove it zero
        keys["noisy_loss"].fail(
            "too long to show that it is the loss where the noise is zero; write it as loss + ..."
        )
    with located(top):
        return NoisyGradientDescent(**given)


def _load_python(path: Path) -> ModelFile:
    _check_readable(path)
    try:
        attributes = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        reason = f"running it raised {type(error).__name__}: {shorten(str(error), 200)}"
        raise ModelFileError(reason, str(path)) from error
    problem = attributes.get("model")
    if not isinstance(problem, NoisyGradientDescent | UpdateRule):
        raise ModelFileError(
            "expected it to define `model`, a NoisyGradientDescent or an UpdateRule", str(path)
        )
    keys = {
        field.name: Field(str(path), field.name, attributes[field.name])
        for field in dataclasses.fields(RunSettings)
        # `from derive import alpha` and `import time` say nothing about the run.
        if not isinstance(attributes.get(field.name), ScaleSymbol | ModuleType | None)
    }
    return ModelFile(problem, _run(keys, problem.weights) if keys else None)
