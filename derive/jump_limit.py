"""The exact limit of rare jumps as users meet it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

from .deductions.deductions import Explanation
from .deductions.jumps import explain_jumps
from .display.jump_statements import jump_statements
from .display.notation import Notation
from .display.statements import as_array, lines
from .documents.articles.descent import article
from .documents.articles.jumps import jump_article
from .limit import Limit
from .rules.regimes.jump_process import JumpProcess


@dataclass(frozen=True)
class JumpLimit(JumpProcess):
    """The exact limit at a fixed step size of descent whose noise jumps rarely.

    What it holds is said in `JumpProcess`; `beside` is the limit α → 0 of the same problem.
    """

    beside: Limit = field(repr=False)

    def latex(self, names: Mapping[sp.Symbol, str] | None = None) -> str:
        """Generator, jumps and drift as LaTeX; `names` as for `Limit.latex`."""
        return as_array(jump_statements(self), Notation(names or {}))

    def explain(self) -> Explanation:
        """The derivation step by step, with its hypotheses."""
        return explain_jumps(self)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return lines(jump_statements(self))


article.register(JumpLimit)(jump_article)
