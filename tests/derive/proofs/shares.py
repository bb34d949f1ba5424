"""``python -m tests.derive.proofs.shares``: how many verdicts are proved, and how long it takes.

Over the catalogue, the benchmark models, the worked examples and random models: the answers "no"
and "yes" of each classification, those that the derivation itself calls proved, and those that come
with a certificate that the independent checker accepts, read again from text; the largest time that
the checker takes for a claim; and what is not proved, with the reason.
"""

from __future__ import annotations

import ast
import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sympy as sp
from flint import ctx
from hypothesis import HealthCheck, given, settings

from derive import DeriveError, Limit, NoisyGradientDescent, derive_limit
from derive.certify.checker import Claim
from derive.symbolic.zero_tests import Basis
from tests.benchmarks import models as benchmarks
from tests.derive.symbolic.test_properties import tame_models
from tests.truth.catalogue import CATALOGUE

ROOT = Path(__file__).parents[3]
SYMBOLIC = ("derive", "derive.mechanisms")
RANDOM_MODELS = 30
MOST_WEIGHTS = 16
SCRIPTS = (
    *("additive_noise_on_an_ellipse", "diagonal_net", "ellipse", "figure_3", "figure_4"),
    *("figures_1_and_2", "label_noise_on_a_diagonal_net", "mechanisms_side_by_side"),
    *("parameter_noise_on_a_ring", "phase_diagram", "sigmoid_net_on_one_point"),
    *("additional_noise_is_required", "table_of_mechanisms"),
)
"""Worked examples whose models are expressions under plain descent."""


def _catalogue() -> Iterator[NoisyGradientDescent]:
    return (entry.problem for entry in CATALOGUE)


def _benchmarks() -> Iterator[NoisyGradientDescent]:
    models = (m.problem() for m in benchmarks.MODELS)
    return (p for p in models if p.optimizer is None and p.dimension <= MOST_WEIGHTS)


def _random() -> list[NoisyGradientDescent]:
    found: list[NoisyGradientDescent] = []

    @settings(
        max_examples=RANDOM_MODELS,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tame_models())
    def draw(model: tuple[NoisyGradientDescent, Any]) -> None:
        found.append(model[0])

    draw()
    return found


def _worked_examples() -> Iterator[NoisyGradientDescent]:
    for script in SCRIPTS:
        yield from _stated_in((ROOT / "worked_examples" / f"{script}.py").read_text("utf-8"))


def _stated_in(script: str) -> list[NoisyGradientDescent]:
    """The models that a script states, alone or in a table; nothing of it is run that simulates."""
    stated: dict[str, Any] = {"__name__": "read"}
    for statement in ast.parse(script).body:
        defines = isinstance(statement, ast.Assign | ast.Import | ast.ImportFrom | ast.FunctionDef)
        simulates = isinstance(statement, ast.ImportFrom) and statement.module not in SYMBOLIC
        if defines and not simulates:
            with contextlib.suppress(NameError):  # what is made of runs
                exec(compile(ast.Module([statement], []), "script", "exec"), stated)
    values = [v for value in stated.values() for v in _entries(value)]
    return [v for v in values if isinstance(v, NoisyGradientDescent) and v.optimizer is None]


def _entries(value: Any) -> Iterator[Any]:
    for entry in value.values() if isinstance(value, dict) else [value]:
        found = entry[0] if isinstance(entry, tuple) and entry else entry
        yield found.problem if isinstance(found, Limit) else found


FAMILIES: dict[str, Callable[[], Iterable[NoisyGradientDescent]]] = {
    "catalogue": _catalogue,
    "benchmarks": _benchmarks,
    "worked examples": _worked_examples,
    "random models": _random,
}


@dataclass
class Shares:
    """What was counted in a family of models.

    Attributes
    ----------
    models : int
        How many have a limit.
    no, yes : int
        Answers.
    known : int
        Answers "yes" that the derivation calls proved.
    certified_no, certified_yes : int
        Answers with certificates that the checker accepts.
    deriving, certifying : float
        Seconds of processor time in all.
    slowest : float
        Largest number of milliseconds of the checker for a claim.
    reasons : list of str
        Why there is no certificate.
    """

    models: int = 0
    no: int = 0
    yes: int = 0
    known: int = 0
    certified_no: int = 0
    certified_yes: int = 0
    deriving: float = 0.0
    certifying: float = 0.0
    slowest: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def count(self, problem: NoisyGradientDescent) -> None:
        """Derive a model and check the certificate of its limit."""
        start = time.process_time()
        try:
            limit = derive_limit(problem)
        except DeriveError:
            return  # a random model whose Γ is singular at the point, which derives no limit
        middle = time.process_time()
        certificate = limit.certificate()
        self.deriving += middle - start
        self.certifying += time.process_time() - middle
        self.models += 1
        document = json.loads(json.dumps(certificate.document))
        for claim in document["claims"]:
            self._time(document, claim)
        for finding, step in zip(certificate.findings, limit.evidence.steps, strict=True):
            is_yes = step.verdict.value is True
            self.yes += is_yes
            self.no += step.verdict.value is False
            self.known += is_yes and step.verdict.basis is Basis.PROOF
            self.certified_yes += is_yes and finding.is_certified
            self.certified_no += step.verdict.value is False and finding.is_certified
            if finding.reason:
                self.reasons.append(f"L = {sp.sstr(problem.loss):.60}: {finding}"[:300])

    def _time(self, document: dict[str, Any], claim: dict[str, Any]) -> None:
        with ctx.workprec(document["precision"]):
            start = time.process_time()
            Claim(document, claim)
            self.slowest = max(self.slowest, 1000 * (time.process_time() - start))

    def __str__(self) -> str:
        return (
            f"{self.models:4} models; no: {self.certified_no} of {self.no} proved; "
            f"yes: {self.certified_yes} of {self.yes} proved ({self.known} by the derivation "
            f"alone); checker at most {self.slowest:.1f} ms a claim; "
            f"derived in {self.deriving:.1f} s, certified in {self.certifying:.1f} s"
        )


def shares(family: str) -> Shares:
    """Count what is proved in one family of models."""
    found = Shares()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for problem in FAMILIES[family]():
            found.count(problem)
    return found


def main() -> None:
    """Print the shares of all families."""
    for family in FAMILIES:
        found = shares(family)
        print(f"{family:16}{found}", *found.reasons, sep="\n    ", flush=True)


if __name__ == "__main__":
    main()
