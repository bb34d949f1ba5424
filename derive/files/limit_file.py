"""Limits in files: JSON with the model, the evidence and the results, read without deriving again.

    {"format": "singular-limit limit", "version": 1, "summary": […],
     "expressions": […], "content": {…}}

`summary` is for readers; `derive.files.codec` says how the rest is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import sympy as sp

from ..derivation.classification import Classification, Evidence, Outcome, Step
from ..derivation.coefficients import Equation
from ..derivation.limiting_equation import LimitingEquation
from ..derivation.noise_moments import NoiseMoments
from ..derivation.special_forms import Kind, SpecialForm
from ..errors import SavedFileError
from ..manifold.charts import IntrinsicForm
from ..manifold.discovery import known_manifold
from ..model import laws
from ..model.problem import Chart, NoisyGradientDescent
from ..symbolic.zero_tests import Basis, Verdict
from .atomic_write import write_atomically
from .codec import Decoder, Encoder, Types

FORMAT = "singular-limit limit"
VERSION = 1

TYPES: Types = {
    kind.__name__: kind
    for kind in (
        *(Basis, Chart, Classification, Equation, Evidence, IntrinsicForm, Kind),
        *(NoisyGradientDescent, Outcome, SpecialForm, Step, Verdict),
        *(laws.Gaussian, laws.Rademacher, laws.Uniform, laws.TwoPoint, laws.Bernoulli),
        *(laws.Minibatch, laws.CustomLaw, laws.Independent, laws.Jump),
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
    encoder = Encoder(TYPES)
    problem = encoder.encode(limit.problem)  # first, to refuse it before any work is done
    m, moments = limit.manifold, limit.moments
    content = {
        "squares": m.probe.squares,
        "constraints": m.constraints,
        "base": m.base,
        "projector": m.projector,
        "regularizer": moments.regularizer,
        "factor": moments.factor,
        "covariance": moments.given_covariance,
        "penalty": moments.penalty,
        "classification": limit.classification,
        "equation": limit.equation,
        **{name: getattr(limit, name) for name in RESULTS},
    }
    encoded = {name: encoder.encode(value) for name, value in content.items()}
    encoded["problem"] = problem
    return {
        "format": FORMAT,
        "version": VERSION,
        "summary": str(limit).splitlines(),
        "expressions": encoder.table,
        "content": encoded,
    }


def from_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a limit: the fields of `Limit`, and under "results" what is known of it."""
    check_header(document, FORMAT, VERSION)
    decoder = Decoder(TYPES, document["expressions"])
    given = {name: decoder.decode(value) for name, value in document["content"].items()}
    problem = _of_type(NoisyGradientDescent, given["problem"])
    manifold = known_manifold(problem, given["squares"], given["constraints"], given["base"])
    vars(manifold)["projector"] = _mutable(given["projector"])
    moments = NoiseMoments(
        given["regularizer"],
        partial(_same, given["factor"]),
        given["covariance"],
        given["penalty"],
    )
    return {
        "problem": problem,
        "manifold": manifold,
        "moments": moments,
        "classification": _of_type(Classification, given["classification"]),
        "equation": _of_type(Equation, given["equation"]),
        "results": {name: _mutable(given[name]) for name in RESULTS},
    }


def check_header(document: Mapping[str, Any], expected: str, version: int) -> None:
    """Refuse a file of another kind, or of a newer version than this release knows.

    Raises
    ------
    SavedFileError
        Without the name of the file.
    """
    if document["format"] != expected:
        raise SavedFileError(f"expected a file of the format {expected!r}")
    if document["version"] > version:
        raise SavedFileError(
            f"written in version {document['version']} of the format, this release reads up to "
            f"{version}; update singular-limit"
        )


def _of_type(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got {type(value).__name__}")
    return value


def _same(value: Any) -> Any:
    return value


def _mutable(value: Any) -> Any:
    return sp.Matrix(value) if isinstance(value, sp.MatrixBase) else value
