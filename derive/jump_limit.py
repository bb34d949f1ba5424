"""The exact limit of rare jumps as users meet it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .deductions.deductions import Explanation
from .deductions.jumps import explain_jumps
from .display.answers import Shown, jump_statements
from .display.statements import Statement
from .documents.articles.descent import article
from .documents.articles.jumps import jump_article
from .limit import Limit
from .rules.regimes.jump_process import JumpProcess


@dataclass(frozen=True)
class JumpLimit(Shown, JumpProcess):
    """The exact limit at a fixed step size of descent whose noise jumps rarely.

    What it holds is said in `JumpProcess`; `beside` is the limit α → 0 of the same problem.
    """

    beside: Limit = field(repr=False)

    @property
    def statements(self) -> list[Statement]:
        """Its generator, its jumps, its drift between them."""
        return jump_statements(self)

    def explain(self) -> Explanation:
        """The derivation step by step, with its hypotheses."""
        return explain_jumps(self)


article.register(JumpLimit)(jump_article)
