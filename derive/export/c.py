"""A limit as one file of C99 that needs nothing but its mathematics library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul

import sympy as sp
from sympy.printing.c import C99CodePrinter
from sympy.printing.codeprinter import PrintMethodNotImplementedError

from ..errors import NotCoveredError
from .assignments import Assignments
from .program import Function, Program

HEADER = """/* dW = b(W) dt + s(W) dB on Γ: the limit of a noisy gradient descent.

{summary}

Functions take a point w of Γ, {dimension} numbers ({names}), and fill `out`, row by row.
One unit of slow time is {unit}.
*/

#include <math.h>
"""

EIGEN = """
enum {{ N = {dimension}, K = {rank}, R = {residuals}, M = {columns} }};

/* Eigenvalues of a symmetric matrix, ascending, and its eigenvectors as columns (Jacobi). */
static void eigen(double a[N][N], double values[N], double vectors[N][N])
{{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            vectors[i][j] = i == j;
    for (int sweep = 0; sweep < 60; sweep++) {{
        double off = 0.0, size = 0.0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                *(i == j ? &size : &off) += a[i][j] * a[i][j];
        if (off <= 1e-34 * size)
            break;
        for (int p = 0; p < N; p++)
            for (int q = p + 1; q < N; q++) {{
                if (a[p][q] == 0.0)
                    continue;
                double tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                double t = (tau < 0.0 ? -1.0 : 1.0) / (fabs(tau) + sqrt(1.0 + tau * tau));
                double c = 1.0 / sqrt(1.0 + t * t), s = t * c;
                for (int k = 0; k < N; k++) {{
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }}
                for (int k = 0; k < N; k++) {{
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                    x = vectors[k][p], y = vectors[k][q];
                    vectors[k][p] = c * x - s * y;
                    vectors[k][q] = s * x + c * y;
                }}
            }}
    }}
    for (int i = 0; i < N; i++)
        values[i] = a[i][i];
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++)
            if (values[j] < values[i]) {{
                double x = values[i];
                values[i] = values[j], values[j] = x;
                for (int k = 0; k < N; k++)
                    x = vectors[k][i], vectors[k][i] = vectors[k][j], vectors[k][j] = x;
            }}
}}
"""

SQUARES = """
/* H = ∇²L on Γ, where L is half the sum of squares of residuals. */
static void hessian(const double *w, double h[N][N])
{
    double j[R][N];
    model_gradients(w, &j[0][0]);
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            h[a][b] = 0.0;
            for (int r = 0; r < R; r++)
                h[a][b] += j[r][a] * j[r][b];
        }
}

/* D³L[S] on Γ for symmetric S. */
static void third(const double *w, double s[N][N], double out[N])
{
    double j[R][N], curvature[R][N][N];
    model_gradients(w, &j[0][0]);
    model_hessians(w, &curvature[0][0][0]);
    for (int i = 0; i < N; i++)
        out[i] = 0.0;
    for (int r = 0; r < R; r++) {
        double image[N], trace = 0.0;
        for (int a = 0; a < N; a++) {
            image[a] = 0.0;
            for (int b = 0; b < N; b++) {
                image[a] += s[a][b] * j[r][b];
                trace += s[a][b] * curvature[r][a][b];
            }
        }
        for (int i = 0; i < N; i++) {
            out[i] += trace * j[r][i];
            for (int a = 0; a < N; a++)
                out[i] += 2.0 * curvature[r][i][a] * image[a];
        }
    }
}
"""

PLAIN = """
/* H = ∇²L. */
static void hessian(const double *w, double h[N][N])
{
    model_hessian(w, &h[0][0]);
}

/* D³L[S] for symmetric S. */
static void third(const double *w, double s[N][N], double out[N])
{
    double thirds[N][N][N];
    model_thirds(w, &thirds[0][0][0]);
    for (int k = 0; k < N; k++) {
        out[k] = 0.0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                out[k] += thirds[k][i][j] * s[i][j];
    }
}
"""

FACTORED = """
/* S with S Sᵀ = Σ, the covariance of the gradient noise in units of σ². */
static void noise(const double *w, double s[N][M])
{
    model_noise(w, &s[0][0]);
}
"""

GIVEN = """
/* The symmetric root S of Σ, the covariance of the gradient noise in units of σ². */
static void noise(const double *w, double s[N][M])
{
    double given[N][N], values[N], vectors[N][N];
    model_covariance(w, &given[0][0]);
    eigen(given, values, vectors);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            s[i][j] = 0.0;
            for (int k = 0; k < N; k++)
                s[i][j] += vectors[i][k] * sqrt(fmax(values[k], 0.0)) * vectors[j][k];
        }
}
"""

FRAME = """
/* Non-zero eigenvalues of H and their eigenvectors as rows. */
static void frame(const double *w, double values[K], double normal[K][N])
{
    double h[N][N], all[N], vectors[N][N];
    hessian(w, h);
    eigen(h, all, vectors);
    for (int a = 0; a < K; a++) {
        values[a] = all[N - K + a];
        for (int i = 0; i < N; i++)
            normal[a][i] = vectors[i][N - K + a];
    }
}

/* P v along the tangent space, in place. */
static void to_tangent(double normal[K][N], double v[N])
{
    for (int a = 0; a < K; a++) {
        double across = 0.0;
        for (int i = 0; i < N; i++)
            across += normal[a][i] * v[i];
        for (int i = 0; i < N; i++)
            v[i] -= across * normal[a][i];
    }
}
"""

PROJECTOR = """
/* Orthogonal projector P on the tangent space of Γ. */
void projector(const double *w, double *out)
{
    double values[K], normal[K][N];
    frame(w, values, normal);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            out[i * N + j] = i == j;
            for (int a = 0; a < K; a++)
                out[i * N + j] -= normal[a][i] * normal[a][j];
        }
}
"""

DIFFUSION = """
/* Diffusion matrix s = c P S, per square root of slow time. */
void diffusion(const double *w, double *out)
{
    double values[K], normal[K][N], s[N][M], column[N];
    frame(w, values, normal);
    noise(w, s);
    for (int m = 0; m < M; m++) {
        for (int i = 0; i < N; i++)
            column[i] = s[i][m];
        to_tangent(normal, column);
        for (int i = 0; i < N; i++)
            out[i * M + m] = NOISE * column[i];
    }
}
"""

DRIFT = """
/* Itô drift b = -P v + q D²Φ[Σ] by Theorem B, per unit of slow time, with

   D²Φ[S] = -H⁺D³L[PSP] - 2P D³L[sym(H⁺QSP)] - P D³L[X], where X solves the Lyapunov equation. */
void drift(const double *w, double *out)
{
    double values[K], normal[K][N], s[N][M], along[N][M], across[K][M];
    double moved[N][N] = {{0}}, spread[N][N] = {{0}}, turned[N], bent[N], slope[N];
    frame(w, values, normal);
    noise(w, s);
    for (int m = 0; m < M; m++)
        for (int a = 0; a < K; a++) {
            across[a][m] = 0.0;
            for (int i = 0; i < N; i++)
                across[a][m] += normal[a][i] * s[i][m];
        }
    for (int m = 0; m < M; m++)
        for (int i = 0; i < N; i++) {
            along[i][m] = s[i][m];
            for (int a = 0; a < K; a++)
                along[i][m] -= normal[a][i] * across[a][m];
        }
    for (int a = 0; a < K; a++) {
        double slowed = values[a] + DEPHASING * values[a] * values[a];
        for (int i = 0; i < N; i++) {
            double both = 0.0;
            for (int m = 0; m < M; m++)
                both += across[a][m] * along[i][m];
            for (int j = 0; j < N; j++) {
                moved[j][i] += normal[a][j] * both / slowed;
                moved[i][j] += normal[a][j] * both / slowed;
            }
        }
        for (int b = 0; b < K; b++) {
            double both = 0.0, x = values[a], y = values[b];
            for (int m = 0; m < M; m++)
                both += across[a][m] * across[b][m];
            both /= x + y - DAMPING * x * y + DEPHASING * (x - y) * (x - y);
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                    moved[i][j] += normal[a][i] * both * normal[b][j];
        }
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int m = 0; m < M; m++)
                spread[i][j] += along[i][m] * along[j][m];
    third(w, moved, turned);
    third(w, spread, bent);
    model_slope(w, slope);
    for (int i = 0; i < N; i++)
        out[i] = -slope[i] - ITO * turned[i];
    to_tangent(normal, out);
    for (int a = 0; a < K; a++) {
        double normal_part = 0.0;
        for (int i = 0; i < N; i++)
            normal_part += normal[a][i] * bent[i];
        for (int i = 0; i < N; i++)
            out[i] -= ITO * normal_part / values[a] * normal[a][i];
    }
}
"""

_TEMPLATES = {"projector": PROJECTOR, "drift": DRIFT, "diffusion": DIFFUSION}


def in_c(program: Program) -> str:
    """The text of a C file.

    Raises
    ------
    NotCoveredError
        If the program holds a function that C lacks.
    """
    header = HEADER.format(
        summary=program.summary.replace("*/", "* /"),
        dimension=program.dimension,
        names=", ".join(map(str, program.weights)),
        unit=program.unit,
    )
    functions = [_function(f, program.weights) for f in program.functions]
    return "".join([header, *functions, *_linear_algebra(program)])


def _linear_algebra(program: Program) -> list[str]:
    """What is computed at a point from the derivatives of the model."""
    if not program.derived:
        return []
    n = program.dimension
    sizes = EIGEN.format(
        dimension=n,
        rank=program.codimension,
        residuals=program.shape_of("_gradients")[0] if program.squares else 0,
        columns=program.shape_of("_noise")[1] if program.factored else n,
    )
    weights = "".join(
        f"#define {name.upper()} ({value!r})\n" for name, value in program.numbers.items()
    )
    parts = [SQUARES if program.squares else PLAIN, FACTORED if program.factored else GIVEN, FRAME]
    return ["\n", weights, sizes, *parts, *(_TEMPLATES[name] for name in program.derived)]


def _function(f: Function, weights: Sequence[sp.Symbol]) -> str:
    """A function that fills an array; a number it returns."""
    places = [str(_flat(place, f.shape)) for place, _ in f.entries]
    weight_names = {w: f"w[{i}]" for i, w in enumerate(weights)}
    code = Assignments.of(places, [x for _, x in f.entries], weight_names)
    printer = _Printer(code.names)
    body = [f"const double {s} = {printer.doprint(x)};" for s, x in code.shared]
    private = f.name.startswith("_")
    name = f"model{f.name}" if private else f.name  # C keeps a leading underscore for itself
    if f.shape:
        texts = {place: printer.doprint(x) for place, x in code.results}
        body += [f"out[{i}] = {texts.get(str(i), '0.0')};" for i in range(reduce(mul, f.shape))]
        signature = f"void {name}(const double *w, double *out)"
    else:
        body.append(f"return {printer.doprint(code.results[0][1])};")
        signature = f"double {name}(const double *w)"
    lines = "\n".join(f"    {line}" for line in ["(void)w;", *body])
    shape = f", shape {f.shape}" if f.shape else ""
    kind = "static " if private else ""
    return f"\n/* {f.meaning}{shape}. */\n{kind}{signature}\n{{\n{lines}\n}}\n"


def _flat(place: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return reduce(lambda at, pair: at * pair[1] + pair[0], zip(place, shape, strict=True), 0)


class _Printer(C99CodePrinter):
    """C for doubles, with the weights as entries of `w`."""

    def __init__(self, names: Mapping[sp.Symbol, str]) -> None:
        super().__init__({"strict": True, "math_macros": {}})  # C99 has no M_PI
        self.names = names

    def doprint(self, expr: sp.Expr, assign_to: None = None) -> str:
        try:
            return " ".join(str(super().doprint(expr, assign_to)).split())
        except PrintMethodNotImplementedError:
            raise NotCoveredError(
                f"{sp.sstr(expr)}: it holds a function that C lacks; compile the limit with "
                "numerics.compile_limit"
            ) from None

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self.names[expr]

    def _print_NumberSymbol(self, expr: sp.NumberSymbol) -> str:
        return repr(float(expr))

    _print_Pi = _print_Exp1 = _print_NumberSymbol
