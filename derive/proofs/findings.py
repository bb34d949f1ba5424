"""What a certificate says: each verdict, whether it is proved, and the data that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..noise.classification import Evidence, Step
from ..symbolic.zero_tests import Basis

NOT_CERTIFIED = {
    Basis.PROOF: "shown by the derivation alone",
    Basis.WITNESS: "not proved, a witness",
    Basis.NUMERICAL: "not proved, a numerical certificate",
    Basis.ASSUMED: "assumed",
    Basis.UNDECIDED: "undecided",
}
"""What a verdict is without a proof that the checker accepts."""


@dataclass(frozen=True)
class Finding:
    """One question of the classification, and what became of its verdict.

    Attributes
    ----------
    step : Step
        The question, with the verdict as far as it is proved.
    reason : str
        Why there is no proof that the checker accepts; empty where there is one.
    """

    step: Step
    reason: str = ""

    @property
    def is_certified(self) -> bool:
        """Whether the independent checker accepts a proof of the verdict."""
        return not self.reason

    @property
    def standing(self) -> str:
        """What the verdict is, in a word or two."""
        verdict = self.step.verdict
        if self.is_certified:
            return "proved" if verdict.value else Basis.PROVED_NOT.value
        return NOT_CERTIFIED[verdict.basis]

    def __str__(self) -> str:
        why = f"; not certified: {self.reason}" if self.reason else ""
        return f"{self.step.question}: {self.step.verdict}{why}"


@dataclass(frozen=True)
class Certificate:
    """Proofs of verdicts on Γ, as data.

    Attributes
    ----------
    findings : tuple of Finding
        The questions of the classification, in order.
    document : dict
        What `derive.certify` checks.
    """

    findings: tuple[Finding, ...]
    document: dict[str, Any]

    @property
    def evidence(self) -> Evidence:
        """The classification's evidence with the verdicts that were proved."""
        return Evidence(tuple(finding.step for finding in self.findings))

    @property
    def is_complete(self) -> bool:
        """Whether each verdict is certified."""
        return all(finding.is_certified for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))
