"""How a limit is shown: labelled statements, as text, LaTeX and MathML."""

from .mathml import statement_html
from .notation import Equality, Notation
from .statements import Statement, as_array, equations, outcome_statements

__all__ = [
    "Equality",
    "Notation",
    "Statement",
    "as_array",
    "equations",
    "outcome_statements",
    "statement_html",
]
