"""Limits in files: JSON with the model, the evidence and the results, read without deriving again.

    {"format": "singular-limit limit", "version": 2, "summary": […],
     "expressions": […], "content": {…}, "sha256": "…"}

`summary` is for readers; `derive.files.codec` says how the rest is written. The digest is that of
all the rest, so that no damaged file is read as another limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial, singledispatch
from os import PathLike
from pathlib import Path
from typing import Any

import sympy as sp

from ..equation.coefficients import Equation
from ..equation.limiting_equation import LimitingEquation
from ..equation.special_forms import SpecialForm, SpectralSum
from ..errors import SavedFileError
from ..laws.expansions import Jump
from ..laws.law import known_laws
from ..manifold.charts import IntrinsicForm
from ..manifold.discovery.find_manifold import known_manifold
from ..manifold.manifold import Manifold
from ..matrices.objective import MatrixNoise
from ..model.chart import Chart
from ..model.problem import NoisyGradientDescent, Objective
from ..model.update_rule import UpdateRule
from ..noise.classification import Classification, Evidence, Outcome, Step
from ..noise.moments import NoiseMoments
from ..optimizers.adaptive import Adaptive
from ..symbolic.zero_tests import Basis, Verdict
from .atomic_write import write_atomically
from .codec import Decoder, Encoder
from .rule_file import adaptive_parts, rule_parts, rule_types

FORMAT = "singular-limit limit"
VERSION = 3

TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(Basis, Chart, Classification, Equation, Evidence, IntrinsicForm),
        *(NoisyGradientDescent, Outcome, SpecialForm, SpectralSum, Step, Verdict),
        *(Jump, MatrixNoise),
    )
}
RESULTS = ("regularizer_on_manifold", "drift", "diffusion", "special", "intrinsic")
"""Cached properties of a limit that are kept with it."""

MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError),
    *(AttributeError, RecursionError, ArithmeticError),
)
"""What reading a file of another kind may raise; JSON and text errors are ValueErrors."""


def save(limit: LimitingEquation, path: str | PathLike[str]) -> None:
    """Write a limit as JSON, whole or not at all.

    Raises
    ------
    SavedFileError
        If the model holds a function or a law that the format has no word for.
    """
    text = json.dumps(to_json(limit), ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def load(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the parts of a limit from a file written by `save`.

    Raises
    ------
    SavedFileError
        If the file is truncated, of another kind, or of a newer version.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        return from_json(document)
    except SavedFileError as error:
        raise SavedFileError(f"{path}: {error}") from None
    except MALFORMED as error:
        raise SavedFileError(
            f"{path}: not a whole file written by Limit.save (truncated, damaged or of another "
            f"kind): {type(error).__name__}: {error}"
        ) from error


def to_json(limit: LimitingEquation) -> dict[str, Any]:
    """A limit as a JSON document."""
    encoder = Encoder(_types())
    problem, known = parts_of(limit)
    encoded = {"problem": encoder.encode(problem)}  # first, to refuse it before any work is done
    encoded |= {name: encoder.encode(value) for name, value in known().items()}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "summary": str(limit).splitlines(),
        "expressions": encoder.table,
        "content": encoded,
    }
    return document | {"sha256": digest_of(document)}


@singledispatch
def parts_of(limit: Any) -> tuple[Any, Callable[[], dict[str, Any]]]:
    """What was asked, and what is known of it, which may be work to find."""
    return limit.problem, partial(_content, limit)


def _types() -> dict[str, Any]:
    return TYPES | rule_types() | known_laws()


def _content(limit: LimitingEquation) -> dict[str, Any]:
    """The parts of the limit of a noise model."""
    m = limit.manifold
    return {
        "kind": type(limit).__name__,
        "squares": m.probe.squares,
        "constraints": m.few.constraints,
        "base": m.base,
        "projector": m.projector,
        **known_of(limit.problem.objective, limit),
        "classification": limit.classification,
        "equation": limit.equation,
        **{name: getattr(limit, name) for name in RESULTS},
    }


def from_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a limit: the fields of `Limit`, and under "results" what is known of it."""
    _check(document)
    decoder = Decoder(_types(), document["expressions"])
    given = {name: decoder.decode(value) for name, value in document["content"].items()}
    if isinstance(given["problem"], UpdateRule):
        return rule_parts(given["problem"], given)
    problem = _of_type(NoisyGradientDescent, given["problem"])
    if isinstance(problem.optimizer, Adaptive):
        return adaptive_parts(problem, given)
    manifold, moments = restored_of(problem.objective, given)
    vars(manifold)["projector"] = _mutable(given["projector"])
    return {
        "kind": given.get("kind", "DescentLimit"),
        "problem": problem,
        "manifold": manifold,
        "moments": moments,
        "classification": _of_type(Classification, given["classification"]),
        "equation": _of_type(Equation, given["equation"]),
        "results": {name: _mutable(given[name]) for name in RESULTS},
    }


@singledispatch
def known_of(objective: Objective, limit: LimitingEquation) -> dict[str, Any]:
    """What is kept of the samples on which Γ was looked for, and of Reg and Σ, by their kind."""
    raise objective.refused("save")


@singledispatch
def restored_of(objective: Objective, given: Mapping[str, Any]) -> tuple[Manifold, NoiseMoments]:
    """Γ, Reg and Σ of what a file holds."""
    raise objective.refused("load")


@singledispatch
def stated(moments: NoiseMoments) -> dict[str, Any]:
    """What moments are made of."""
    return {
        "regularizer": moments.regularizer,
        "penalty": moments.penalty,
        "factor": moments.factor,
        "covariance": moments.given_covariance,
    }


def known_in(given: Mapping[str, Any], problem: NoisyGradientDescent) -> Manifold:
    """Γ of a problem in numbers of what a file holds."""
    return known_manifold(problem, given["squares"], given["constraints"], given["base"])


def moments_in(given: Mapping[str, Any]) -> NoiseMoments:
    """Moments of what a file holds."""
    factor = partial(_same, given.get("factor"))
    return NoiseMoments(given["regularizer"], factor, given.get("covariance"), given["penalty"])


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _check(document: Mapping[str, Any]) -> None:
    """Refuse a file of another kind or version, or one that is not as it was written.

    Raises
    ------
    SavedFileError
        Without the name of the file.
    """
    version = document["version"]
    if document["format"] != FORMAT:
        raise SavedFileError(f"expected a file of the format {FORMAT!r}")
    if version > VERSION:
        raise SavedFileError(
            f"written in version {version} of the format, this release reads up to {VERSION}; "
            "update singular-limit"
        )
    if version != VERSION:
        raise SavedFileError(
            f"written in version {version} of the format, which had no digest to check it by; "
            "derive the limit again and save it"
        )
    rest = {name: value for name, value in document.items() if name != "sha256"}
    if document["sha256"] != digest_of(rest):
        raise SavedFileError("damaged since it was written: its content and its sha256 differ")


def _of_type(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got {type(value).__name__}")
    return value


def _same(value: Any) -> Any:
    return value


def _mutable(value: Any) -> Any:
    return sp.Matrix(value) if isinstance(value, sp.MatrixBase) else value
