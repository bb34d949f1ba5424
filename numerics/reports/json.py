"""A report for machines: all that the page shows, in plain types, as JSON."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from derive.display.statements import equations
from derive.files.atomic_write import write_atomically

from ..validation.measurements.comparison import Comparison
from ..validation.measurements.statistics import Estimate, mean
from .report import Observables, ValidationReport

PACKAGES = ("singular-limit", "sympy", "numpy", "scipy", "numba", "matplotlib")


def write_json(report: ValidationReport, path: str | PathLike[str], command: str) -> None:
    """Write `content` to a file, whole or not at all."""
    text = json.dumps(content(report, command), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(Path(path), lambda file: file.write(f"{text}\n".encode()))


def content(report: ValidationReport, command: str) -> dict[str, Any]:
    """What the page shows, its figures as numbers.

    Parameters
    ----------
    report : ValidationReport
        The verdict.
    command : str
        The command that repeats the run.

    Returns
    -------
    dict
        Plain types; None stands for what is not a finite number.
    """
    return _plain(
        {
            "command": command,
            "versions": versions(),
            **report.to_dict(),
            "derivation": [
                {"label": s.label, "text": s.text, "latex": s.latex}
                for s in equations(report.limit)
            ],
            "evidence": [
                {
                    "question": step.question,
                    "answer": step.verdict.value,
                    "basis": step.verdict.basis.value,
                    "how": str(step.verdict),
                }
                for step in report.limit.evidence.steps
            ],
            "means": [_means(c, report.observables) for c in report.comparisons],
            "speeds": _speeds(report),
            "fast_phase": _fast_phase(report),
        }
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _means(comparison: Comparison, observables: Observables) -> dict[str, Any]:
    """Observables over slow time: the recursion at every σ, the limits at α and α → 0."""

    def followed(paths: Any) -> dict[str, Estimate]:
        return {name: mean(observable(paths)) for name, observable in observables.items()}

    recursion = zip(comparison.sigmas, comparison.projected, strict=True)
    return {
        "alpha": comparison.alpha,
        "times": comparison.times,
        "recursion": [{"sigma": s, **followed(paths)} for s, paths in recursion],
        "limit_at_alpha": followed(comparison.expected),
        "limit_at_zero": followed(comparison.asymptotic),
    }


def _speeds(report: ValidationReport) -> dict[str, Any] | None:
    found = report.scaling
    if found is None:
        return None
    grid = {"point": found.point, "alphas": found.alphas, "sigmas": found.sigmas}
    return {**grid, "per_iteration": found.rates, "exponents": found.law.exponents}


def _fast_phase(report: ValidationReport) -> dict[str, Any] | None:
    fast = report.fast
    if fast is None:
        return None
    return {
        "point": fast.point,
        "alpha": fast.alpha,
        "eigenvalue": fast.eigenvalue,
        "rate": fast.rate,
        "expected": fast.expected,
    }


def _plain(value: Any) -> Any:
    """Mappings, lists, strings, booleans and finite numbers."""
    if isinstance(value, Estimate):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
