"""The letters of the theory with their definitions, each of which a document states once.

A document defines the letters that it uses and no others: those whose pattern is found in its
formulas, or in the definitions of those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

WORD = r"(?![A-Za-z])"
"""End of a LaTeX command."""


@dataclass(frozen=True)
class Letter:
    """A letter of the theory.

    Attributes
    ----------
    tokens : tuple of str
        Letters and commands of LaTeX that the definition explains.
    pattern : str
        Where it is used: a regular expression for the formulas of a document.
    definition : str
        LaTeX of its definition.
    """

    tokens: tuple[str, ...]
    pattern: str
    definition: str

    def is_in(self, formulas: str) -> bool:
        """Whether it is used."""
        return re.search(self.pattern, formulas) is not None


def _alone(letter: str) -> str:
    """A pattern for a letter that is no part of a name."""
    return rf"(?<![A-Za-z\\]){letter}(?![A-Za-z])"


COMMON = (
    Letter(
        ("nabla", "Delta"),
        r"\\nabla|\\Delta",
        r"$\nabla$, $\nabla^2$ and $\Delta$ are gradient, Hessian and Laplacian in the weights"
        r" unless a lower index names another variable",
    ),
    Letter(("partial",), r"\\partial", r"$\partial$ is a partial derivative"),
    Letter(("I",), _alone("I"), r"$I$ is the identity matrix"),
    Letter(("E",), _alone("E"), r"$E$ is the expectation"),
    Letter(
        ("P",),
        _alone("P"),
        r"$P = P(w)$ is the orthogonal projector on the tangent space of $\Gamma$ at $w$",
    ),
    Letter(("Q",), _alone("Q"), r"$Q = I - P$"),
    Letter(
        ("H",),
        _alone("H"),
        r"$H = \nabla^2 L$, whose null space on $\Gamma$ is the tangent space",
    ),
    Letter(
        ("lambda",),
        r"\\lambda",
        r"$\lambda$ stands for the eigenvalues of $H$ that are not zero",
    ),
    Letter(
        ("J",),
        _alone("J"),
        r"$J$ has the gradients of independent constraints of $\Gamma$ as rows, and $J^+$ is its"
        r" pseudo-inverse",
    ),
    Letter(("H",), r"H\^\{?\+|\(H[^)]*\)\^\{?\+", r"$H^+$ is the pseudo-inverse of $H$"),
    Letter(
        ("Phi",),
        rf"\\Phi(?!_){WORD}",
        r"$\Phi(x)$ is the limit as $t \to \infty$ of the gradient flow $\dot x = -\nabla L(x)$"
        r" that starts at $x$",
    ),
    Letter(
        ("Phi", "alpha"),
        r"\\Phi\s*_\{?\\alpha",
        r"$\Phi_\alpha(x)$ is the limit as $k \to \infty$ of gradient descent without noise,"
        r" $x_{k+1} = x_k - \alpha\nabla L(x_k)$, that starts at $x$",
    ),
    Letter(
        ("D",),
        r"D\^\{?2\}?\s*\\Phi",
        r"$D^2\Phi[A]$, for a symmetric matrix $A$, is the vector with the entries"
        r" $\sum_{ij} A_{ij}\,\partial_i\partial_j\Phi_k$",
    ),
    Letter(
        ("D",),
        r"D\^\{?3\}?\s*L",
        r"$D^3L[A]$, for a symmetric matrix $A$, is the vector with the entries"
        r" $\sum_{ij} A_{ij}\,\partial_k\partial_i\partial_j L$",
    ),
    Letter(("sym",), r"sym", r"$\mathrm{sym}(A) = \tfrac{1}{2}(A + A^\top)$"),
    Letter(
        ("C", "nu"),
        _alone("C") + r"|\\nu" + WORD,
        r"$(C, \nu)$ is the L\'evy pair of the noise: $E f(\eta) = f(0) + \sigma^2"
        r" \bigl(\tfrac{1}{2}"
        r" C : \nabla^2 f(0) + \int [f(z) - f(0) - z \cdot \nabla f(0)]\,\nu(dz)\bigr) +"
        r" o(\sigma^2)$, with $A : F = \sum_{ij} A_{ij} F_{ij}$ for matrices $A$ and $F$",
    ),
    Letter(
        ("Reg",),
        r"Reg\}(?!\s*_)",
        r"$\mathrm{Reg}(w) = \tfrac{1}{2} C : \nabla^2_\eta \hat L(w, 0) + \int [\hat L(w, z) -"
        r" L(w) - z \cdot \partial_\eta \hat L(w, 0)]\,\nu(dz)$",
    ),
    Letter(
        ("G",),
        _alone("G") + "(?!_)",
        r"$G(w) = \partial_\eta \nabla_w \hat L(w, 0)$",
    ),
    Letter(
        ("Sigma",),
        r"\\Sigma(?!_)" + WORD,
        r"$\Sigma(w) = G C G^\top + \int g_z g_z^\top\,\nu(dz)$, with $g_z = \nabla_w \hat L(w, z)"
        r" - \nabla L(w)$, is the covariance of the gradient noise per $\sigma^2$",
    ),
    Letter(
        ("S",),
        _alone("S"),
        r"$S = S(w)$ is any matrix with $S S^\top = \Sigma$",
    ),
    Letter(
        ("B",),
        r"dB",
        r"$B$ is a standard Brownian motion, of as many coordinates as the matrix in front of $dB$"
        r" has columns; the equation is understood in the sense of It\^o",
    ),
    Letter(
        ("X",),
        _alone("X"),
        r"$X = QXQ$ is the stationary covariance of the fluctuations across $\Gamma$, per unit of"
        r" $\alpha\sigma^2$: the solution of $\mathcal{L}(X) = Q \Sigma Q$",
    ),
    Letter(
        ("langle", "rangle"),
        r"\\langle",
        r"$\langle A \rangle$ is the mean of $A$ over the samples",
    ),
    Letter(
        ("det",),
        r"\\det",
        r"$\det_+$ is the product of the eigenvalues that are not zero",
    ),
    Letter(("b",), r"b_\\parallel", r"$b_\parallel = P b$ is the drift along $\Gamma$"),
    Letter(
        ("Reg", "2"),
        r"Reg\}\s*_\{?2|V_\{?2",
        r"$\mathrm{Reg}_2 = \lim_{\sigma \to 0} \sigma^{-4} (E \hat L - L - \sigma^2"
        r" \mathrm{Reg})$",
    ),
    Letter(
        ("r", "h"),
        r"P\s?r(?![A-Za-z])",
        r"$r = \nabla\mathrm{Reg}_2 + \nabla^2\mathrm{Reg}\, h + D^3L[\tfrac{1}{2} h h^\top -"
        r" \mathrm{sym}(H^+ h\, (P\nabla\mathrm{Reg})^\top)]$ with $h = -H^+\nabla\mathrm{Reg}$",
    ),
    Letter(
        ("V", "2"),
        r"V_\{?2",
        r"$V_2 = \mathrm{Reg}_2 - \tfrac{1}{2} \nabla\mathrm{Reg}^\top H^+ \nabla\mathrm{Reg}$ on"
        r" $\Gamma$",
    ),
)
"""Letters of the theory of noisy gradient descent, in the order in which they are defined."""


OF_RULES = (
    *COMMON[:4],
    Letter(
        ("A", "xi"),
        r"A_\\xi|(?<![A-Za-z\\])A(?![A-Za-z\[])",
        r"$A_\xi = DT_0(\cdot, \xi)$ is the derivative in $z$ on $\mathcal{M}$, and $A = E A_\xi$",
    ),
    Letter(
        ("J",),
        _alone("J"),
        r"$J$ has the gradients of independent constraints of $\mathcal{M}$ as rows, and $J^+$ is"
        r" its pseudo-inverse",
    ),
    Letter(
        ("B", "bar B"),
        r"B_\\xi|\\bar B",
        r"$B_\xi$ is $A_\xi$ across $\mathcal{M}$, $J A_\xi = B_\xi J$, and $\bar B = E B_\xi$",
    ),
    Letter(("R",), _alone("R"), r"$R = (A - I) J^+ (\bar B - I)^{-1}$"),
    Letter(
        ("P",),
        _alone("P"),
        r"$P = I - R J$ is the projector on the tangent space of $\mathcal{M}$ along the range of"
        r" $A - I$, which need not be orthogonal",
    ),
    Letter(
        ("Sigma", "bar b"),
        r"\\Sigma|\\bar b",
        r"$\Sigma = E\, T_1 T_1^\top$ and $\bar b = E\, T_2$ on $\mathcal{M}$",
    ),
    Letter(
        ("Y",),
        _alone("Y"),
        r"$Y$ is the covariance of the fluctuations across $\mathcal{M}$, per $\sigma^2$: the"
        r" solution of $Y - E\, B_\xi Y B_\xi^\top = J \Sigma J^\top$",
    ),
    Letter(("V", "xi"), r"V_\\xi", r"$V_\xi = P A_\xi R$"),
    Letter(
        ("Z",),
        _alone("Z"),
        r"$Z$ is the solution of $Z (I - \bar B)^\top = P \Sigma J^\top + E\, V_\xi Y B_\xi^\top$",
    ),
    Letter(("X",), _alone("X"), r"$X = R Y R^\top + Z R^\top + R Z^\top$"),
    Letter(
        ("D",),
        r"D\^\{?2\}?\s*T",
        r"$D^2T_0[F]$, for a symmetric matrix $F$, is the vector with the entries"
        r" $\sum_{ij} F_{ij}\,\partial_i\partial_j T_{0,k}$, the derivatives being those in $z$",
    ),
    Letter(
        ("Theta",),
        r"\\Theta",
        r"$\Theta = P \Sigma P^\top + E\, V_\xi Y V_\xi^\top$",
    ),
    Letter(
        ("Phi",),
        r"\\Phi",
        r"$\Phi(z)$ are the weights at which the recursion without small noise, $z_{k+1} = T_0(z_k,"
        r" \xi_k)$ from $z_0 = z$, ends, or the mean of them where $T_0$ is random",
    ),
    Letter(
        ("B",),
        r"dB",
        r"in $dB$, $B$ is a standard Brownian motion, of as many coordinates as $s$ has columns;"
        r" the equation is understood in the sense of It\^o",
    ),
)
"""Letters of the theorem for update rules."""


OF_CYCLES = (
    *(letter for letter in COMMON if letter.tokens[0] in ("nabla", "partial", "I", "P", "H", "J")),
    *(letter for letter in COMMON if r"D\^\{?3" in letter.pattern),
    Letter(
        ("lambda", "1"),
        r"\\lambda",
        r"$\lambda_1 > \lambda_2$ are the two largest eigenvalues of $H$, or of the Hessian of"
        r" the loss"
        r" of a sample where batches are drawn, and $v_1$ is the unit eigenvector of $\lambda_1$",
    ),
)
"""Letters of the theorem for optimizers that cycle."""


OF_ADAPTIVE = (
    *OF_RULES,
    next(letter for letter in COMMON if letter.tokens == ("H",)),
    Letter(
        ("Omega", "v", "varepsilon"),
        r"\\Omega|(?<![A-Za-z\\])v(?![A-Za-z])",
        r"$\Omega = \Omega(v)$ is the preconditioner, the diagonal matrix that the second moments"
        r" $v$ of the gradients and the constant $\varepsilon$ make",
    ),
    Letter(
        ("delta", "beta", "2"),
        r"\\beta|\\delta",
        r"$\delta = 1 - \beta_2$ is the weight of the newest gradient in $v$",
    ),
    Letter(
        ("langle", "rangle"),
        r"\\langle",
        r"$\langle A, F \rangle = \sum_{ij} A_{ij} F_{ij}$ for matrices $A$ and $F$",
    ),
    Letter(
        ("v", "star"),
        r"v_\*",
        r"$v_*(w)$ is the value of $v$ at rest at $w \in \Gamma$, the mean of the squared gradients"
        r" per $\sigma^2$ there",
    ),
    Letter(
        ("mu",),
        r"\\mu",
        r"$\mu$ stands for the eigenvalues of $\Omega H$ across $\Gamma$",
    ),
)
"""Letters of the theorem for adaptive optimizers."""


def definitions(formulas: str, letters: Sequence[Letter] = COMMON) -> tuple[Letter, ...]:
    """The letters that some formulas use, and those that their definitions use, in order."""
    used: set[Letter] = set()
    text = formulas
    while True:
        found = {letter for letter in letters if letter not in used and letter.is_in(text)}
        if not found:
            return tuple(letter for letter in letters if letter in used)
        used |= found
        text = math_of("\n".join(letter.definition for letter in found))


def math_of(latex: str) -> str:
    """The formulas of a LaTeX text, one per line, without the words in them."""
    text = latex.replace(r"\$", "")
    found = ["".join(groups) for groups in _INLINE.findall(text)]
    found += [_braced(text, mark.end()) for mark in _FORMULA.finditer(text)]
    return "\n".join(_TEXT.sub(" ", formula) for formula in found)


def _braced(text: str, start: int) -> str:
    """What stands up to the brace that closes the one before `start`."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    return text[start:]


_INLINE = re.compile(r"\$(.*?)\$|\\\[(.*?)\\\]", re.DOTALL)
_FORMULA = re.compile(r"\\formula\{")
_TEXT = re.compile(r"\\text(?:normal)?\{[^{}]*\}")
