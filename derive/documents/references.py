"""The works that a document cites."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A work cited, with its BibTeX fields."""

    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    @property
    def item(self) -> str:
        r"""The ``\bibitem``."""
        given = dict(self.fields)
        where = given.get("journal") or given.get("booktitle") or f"arXiv:{given['eprint']}"
        volume = f" {given['volume']}" if "volume" in given else ""
        pages = f", pages {given['pages']}" if "pages" in given else ""
        authors = given["author"].replace(" and ", ", ")
        return (
            rf"\bibitem{{{self.key}}} {authors}. \emph{{{given['title']}}}. "
            f"{where}{volume}{pages}, {given['year']}."
        )

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        rows = "".join(f"  {name} = {{{value}}},\n" for name, value in self.fields)
        return f"@{self.kind}{{{self.key},\n{rows}}}"


REFERENCES = (
    Reference(
        "ShalovaSchlichtingPeletier2024",
        "misc",
        (
            ("author", "Anna Shalova and Andr{\\'e} Schlichting and Mark Peletier"),
            ("title", "Singular-limit analysis of gradient descent with noise injection"),
            ("year", "2024"),
            ("eprint", "2404.12293"),
            ("archivePrefix", "arXiv"),
        ),
    ),
    Reference(
        "Katzenberger1991",
        "article",
        (
            ("author", "Gary Shon Katzenberger"),
            (
                "title",
                "Solutions of a stochastic differential equation forced onto a manifold by a "
                "large drift",
            ),
            ("journal", "Annals of Probability"),
            ("volume", "19"),
            ("year", "1991"),
            ("pages", "1587--1628"),
        ),
    ),
    Reference(
        "LiWangArora2021",
        "misc",
        (
            ("author", "Zhiyuan Li and Tianhao Wang and Sanjeev Arora"),
            ("title", "What happens after SGD reaches zero loss? A mathematical framework"),
            ("year", "2021"),
            ("eprint", "2110.06914"),
            ("archivePrefix", "arXiv"),
        ),
    ),
)
"""Where the theorems stand, and what they rest on."""


def cited_in(text: str) -> tuple[Reference, ...]:
    r"""The works that a LaTeX text cites by ``\cite{key}``."""
    return tuple(r for r in REFERENCES if rf"\cite{{{r.key}}}" in text)
