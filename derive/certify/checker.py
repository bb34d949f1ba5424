"""Check a certificate (see `derive.proofs.certificate`) by ball arithmetic and polynomials."""

import json
import sys
from itertools import combinations_with_replacement, product
from math import prod
from pathlib import Path
from typing import Any

from flint import Ordering, acb_mat, arb, arb_mat, arb_series, ctx, fmpq, fmpq_mpoly_ctx, fmpz

OPERATIONS: dict[str, Any] = {
    "sum": lambda *x: sum(x[1:], x[0]),
    "product": lambda *x: prod(x[1:], start=x[0]),
    "inverse": lambda x: 1 / x,
    "tanh": lambda x: 1 - 2 / ((2 * x).exp() + 1),
    "abs": lambda x: x if x[0] > 0 else -x if x[0] < 0 else x * arb.nan(),
    **{f: getattr(arb_series, f) for f in ("exp", "log", "sqrt", "sin", "cos", "atan", "erf")},
}
RELATIONS = {"inverse": lambda u, x: u * x - 1, "sqrt": lambda u, x: u**2 - x}
CLAIMS = dict.fromkeys(("slope", "field", "values", "drift"), "value") | {"attraction": "shrinks"}
CLAIMS |= dict.fromkeys(("constant", "critical", "zero"), "identities") | {"curvature": "curvature"}


def require(holds: bool, reason: str) -> None:
    """Reject the certificate unless a condition holds."""
    if not holds:
        raise ArithmeticError(reason)


def below(table: list[list[Any]], places: Any) -> list[int]:
    """The entries of which some entries are made, parts first."""
    needed = set(places)
    for k in range(max(needed, default=-1), -1, -1):
        if k in needed and table[k][0] not in ("symbol", "rational"):
            needed.update(table[k][1:])
    require(all(type(k) is int and k >= 0 for k in needed), "this is no place of an entry")
    return sorted(needed)


class Tower:
    """Expressions as polynomials in symbols, inverses, roots and functions, all unknowns."""

    def __init__(self, table: list[list[Any]], places: Any) -> None:
        entries, known = below(table, places), ("sum", "product", "rational")
        self.unknowns = [k for k in entries if table[k][0] not in known]
        self.ring = fmpq_mpoly_ctx.get([f"x{k}" for k in self.unknowns], Ordering.degrevlex)
        self.at: dict[int, Any] = dict(zip(self.unknowns, self.ring.gens(), strict=True))
        sines = {table[k][1]: self.at[k] for k in self.unknowns if table[k][0] == "sin"}
        self.relations: list[Any] = []
        for k, (head, *parts) in ((k, table[k]) for k in entries):
            if head == "rational":
                self.at[k] = self.ring.constant(fmpq(*map(fmpz, parts)))
            elif head in known:
                self.at[k] = OPERATIONS[head](*[self.at[a] for a in parts])
            elif head in RELATIONS:
                self.relations.append(RELATIONS[head](self.at[k], self.at[parts[0]]))
            elif head == "cos" and parts[0] in sines:
                self.relations.append(self.at[k] ** 2 + sines[parts[0]] ** 2 - 1)


class Claim:
    """What a certificate claims of the manifold Γ = {r = 0}; ArithmeticError if it is not shown."""

    def __init__(self, document: dict[str, Any], claim: dict[str, Any]) -> None:
        self.data, self.point = claim, document["points"][claim["point"]]
        self.table, self.weights = document["expressions"], document["weights"]
        self.constraints, squares = document["constraints"], document["squares"]
        self.weighs, self.residuals = [c for c, _ in squares], [r for _, r in squares]
        self.parts = {k: (arb(m), arb(0, arb(r))) for k, (m, r) in self.point["box"].items()}
        self.box = {k: m + r for k, (m, r) in self.parts.items()}
        self.check_point()
        getattr(self, how := CLAIMS[claim["asks"]])()
        self.answer = f"{claim['says']}: proved{' not' * (how == 'value')} ({claim['asks']})"

    def taylor(self, places: Any, line: Any, order: int = 0, box: Any = None) -> list[arb]:
        """Coefficients of t^order at box + t line; they must be defined on all of the box."""
        values, box = dict[int, Any](), box or self.box
        for k in below(self.table, places):
            head, *parts = self.table[k]
            if head in OPERATIONS:
                values[k] = OPERATIONS[head](*[values[a] for a in parts])
            else:
                here = box[str(k)] if head == "symbol" else arb(fmpq(*map(fmpz, parts)))
                values[k] = arb_series([here, line.get(k, 0)], order + 1)
            require(all(values[k][i].is_finite() for i in range(order + 1)), f"{head}: undefined")
        return [values[k][order] for k in places]

    def check_point(self) -> None:
        """Krawczyk: r = 0 at one point of the box, for each value of what does not move; L ≥ 0."""
        rows, moving, n = self.point["rows"], self.point["moving"], len(self.point["rows"])
        turns = arb_mat([self.taylor([*rows, *self.residuals], {w: 1}, 1) for w in self.weights])
        slopes = turns.transpose().tolist()
        square = arb_mat([[row[self.weights.index(w)] for w in moving] for row in slopes[:n]])
        inverse = arb_mat([[arb(x) for x in row] for row in self.point["preconditioner"]])
        at = self.taylor(rows, {}, 0, self.box | {str(w): self.parts[str(w)][0] for w in moving})
        away = arb_mat([[self.parts[str(w)][1]] for w in moving])
        change = arb_mat([[int(v == w) for v in moving] for w in moving]) - inverse * square
        image = change * away - inverse * arb_mat([[r] for r in at])
        inside = all(away[i, 0].contains_interior(image[i, 0]) for i in range(n))
        require(inside and {*rows} <= {*self.constraints}, "no point of Γ is shown in the box")
        tower, vanishing = Tower(self.table, self.point["tower"]), self.point["vanishing"]
        self.taylor(tower.unknowns, {})  # all that the identities are made of has a value
        for r in {*self.constraints, *self.residuals} - {*rows}:
            self.combines(tower, tower.at[r], [tower.at[k] for k in rows], vanishing[str(r)])
        self.roots = [c.sqrt() for c in self.taylor(self.weighs, {})]
        scaled = [[q * x for x in row] for q, row in zip(self.roots, slopes[n:], strict=True)]
        self.normals, self.slopes = arb_mat(slopes[:n]), arb_mat(scaled)
        self.left = self.normals.transpose() * (self.normals * self.normals.transpose()).inv()
        across = self.normals * self.slopes.transpose() if self.roots else arb_mat(0, 0)
        require((across * across.transpose()).det() > 0, "H is not shown to have the rank of J")

    def combines(self, tower: Tower, f: Any, of: list[Any], cofactors: list[list[int]]) -> None:
        """F = Σ a g of generators and relations of functions."""
        rest = f - sum(tower.at[a] * (of + tower.relations)[i] for i, a in cofactors)
        require(rest == 0, "an identity does not hold")

    def identities(self) -> None:
        """F is constant on Γ, zero, or critical: f - c = Σ a r, or Σ a r s."""
        tower, asks = Tower(self.table, self.data["tower"]), self.data["asks"]
        self.taylor(tower.unknowns, {})
        of = [tower.at[r] for r in self.constraints]
        of = [r * s for r, s in combinations_with_replacement(of, 2)] if asks == "critical" else of
        for f, c, by in zip(*map(self.data.get, ("of", "constants", "cofactors")), strict=True):
            require(not {*below(self.table, [c])} & {*self.weights}, "no constant")
            require(asks != "zero" or tower.at[c] == 0, "not zero")
            self.combines(tower, tower.at[f] - tower.at[c], of, by)

    def curvature(self) -> None:
        """All eigenvalues λ ≠ 0 of H, as many as rows, lie between two bounds."""
        roots = acb_mat(self.slopes * self.slopes.transpose()).eig(multiple=True)
        (low, high), rank = map(arb, self.data["bounds"]), len(self.point["rows"])
        require(sum(abs(low) < x.real < high for x in roots) == rank, "not within the bounds")

    def shrinks(self) -> None:
        """X = GGᵀ and X - Σ p B X Bᵀ > 0, B = J DT J⁺ of maps T, p > 0: by Gershgorin."""
        g = arb_mat([[arb(x) for x in row] for row in self.data["factor"]])
        chances, rest = self.taylor(self.data["chances"], {}), g * g.transpose()
        for p, of in zip(chances, self.data["of"], strict=True):
            turns = arb_mat([self.taylor(of, {w: 1}, 1) for w in self.weights])
            b = (self.left * g).transpose() * turns * self.normals.transpose()
            rest -= b.transpose() * b * p
        least = [2 * row[i] - sum(map(abs, row)) for i, row in enumerate(rest.tolist())]
        require(all(x > 0 for x in chances + least), "squares are not shown to shrink")

    def value(self) -> None:
        """⟨d, v⟩ ≠ 0 for the values v, or ⟨d, P v⟩ for the field v, is in a stated enclosure."""
        asks, of, stated = self.data["asks"], self.data["of"], self.data["value"]
        d = arb_mat([[arb(x)] for x in self.data["direction"]])
        d = d if asks == "values" else d - self.left * (self.normals * d)
        line = dict(zip(self.weights, d.entries(), strict=False))
        values = self.taylor(of, line, int(asks == "slope"))
        by = [arb(1)] if asks == "slope" else d.entries()
        found = sum((x * y for x, y in zip(values, by, strict=True)), arb(0))
        found += self.bend(self.data["columns"], line) if asks == "drift" else 0
        given = arb(stated[0]) + arb(0, arb(stated[1]))
        require(given.contains(found) and not given.contains(0), f"{found} is not in {stated}")

    def bend(self, columns: list[int], line: dict[int, arb]) -> arb:
        """½ D³L[T, d]: L = ½ Σ c r², HT + TH - hHTH = Σ - PΣP, PTP = 0, Σ = S Sᵀ."""
        w, j, left, size = self.weights, self.normals, self.left, self.normals.nrows()
        s = arb_mat(len(w), len(columns) // len(w), self.taylor(columns, {}))
        normal, across = left.transpose() * s, self.slopes * left
        hessian = across.transpose() * across  # E in H = Jᵀ E J
        half = left * hessian.inv() * normal * (s - left * (j * s)).transpose()
        a, ij = hessian * j * j.transpose(), list(product(range(size), repeat=2))
        g = arb_mat(size, size, [int(i == k) for i, k in ij]) - a * arb(self.data["step"])
        rows = [[(k == n) * a[i, m] + g[i, m] * a[k, n] for m, n in ij] for i, k in ij]
        right = arb_mat(size**2, 1, (normal * normal.transpose()).entries())
        y = arb_mat(size, size, arb_mat(rows).solve(right).entries())
        u, found = self.slopes * (half + half.transpose() + j.transpose() * y * j), arb(0)
        for i, turn in enumerate(self.taylor(self.weighs, line, 1)):  # D²r[d, u] by polarisation
            ends = [{k: line[k] + g * u[i, n] for n, k in enumerate(w)} for g in (1, -1)]
            up, down = (self.taylor([self.residuals[i]], end, 2)[0] for end in ends)
            along = sum(u[i, k] * self.slopes[i, k] for k in range(len(w)))
            found += (self.roots[i] * (up - down) + turn * along / self.roots[i] ** 2) / 2
        return found


def check(document: dict[str, Any]) -> list[str]:
    """What a certificate shows, claim by claim; ArithmeticError if one does not follow."""
    require(document["format"] == "singular-limit certificate 1", "it is no certificate")
    names = {k: e[1] for k, e in enumerate(document["expressions"]) if e[0] == "symbol"}
    chosen = [names[w] for w in document["weights"]]
    require(len({*names.values()}) + len({*chosen}) == len(names) + len(chosen), "a name is twice")
    with ctx.workprec(document["precision"]):
        found = [Claim(document, claim).answer for claim in document["claims"]]
    for chart in document.get("charts", []):  # graphs w = φ(θ); Γ = {r = 0} holds their images
        inside = chart["inside"] | {"asks": "zero", "of": document["constraints"]}
        found += check(document | {"charts": []} | chart | {"claims": [inside, *chart["claims"]]})
    return found


if __name__ == "__main__":
    try:
        text = Path(sys.argv[1]).read_text(encoding="utf-8")
        found = json.loads(text, object_pairs_hook=lambda x: len(dict(x)) == len(x) and dict(x))
        print(*check(found), sep="\n")
    except (ArithmeticError, LookupError, TypeError, ValueError, OSError) as failure:
        sys.exit(f"REJECTED: {type(failure).__name__}: {failure}")
