"""The page: complete, self-contained, and readable in a real browser."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from derive import NotCoveredError, derive_limit
from derive.analysis.longtime import Equilibrium
from derive.display.statements import equations
from numerics import validate
from numerics.reports import html as pages
from numerics.reports.html import as_html, end_states_section, write_report
from numerics.reports.json import write_json
from tests.truth.catalogue import CATALOGUE

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def report():
    problem = next(e.problem for e in CATALOGUE if "linear scalar" in e.name)
    return validate(
        derive_limit(problem), (0.6, 0.8), alpha=0.05, sigma=0.1, time=0.2, paths=100, seed=0
    )


@pytest.fixture(scope="module")
def page(report):
    return as_html(report, "python -m numerics <b>.toml")


def test_everything_is_on_the_page(report, page):
    assert page.count("<math") >= 8
    assert page.count("<svg") == 4
    assert page.count("<tr>") > len(report.checks)
    assert "python -m numerics &lt;b&gt;.toml" in page
    assert report.conclusion in page
    assert "sympy" in page


def test_nothing_is_loaded_from_elsewhere(page):
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith("#") for link in links)
    assert "@import" not in page
    assert "<script" not in page


def test_no_latex_is_left_over(page):
    shown = re.sub(r"<style.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert "\\" not in shown
    assert "$" not in shown


ENDS = re.compile(
    r"<dt>(\w+)</dt><dd>.*?<mi>w</mi>.*?<mo>&#x0003D;</mo>(?:<mo>(&#x02212;)</mo>)?<mn>([\d.]+)</mn>"
    r".*?rate ([\d.]+) per unit of slow time</dd>"
)


def ends_on(section):
    """Stability, w₁ and rate of each equilibrium on a page."""
    return [
        (kind, float(f"{'-' if sign else ''}{x}"), float(rate))
        for kind, sign, x, rate in ENDS.findall(section)
    ]


UNEVEN_RING = [("stable", -1, pytest.approx(1 / 4)), ("repelling", 1, pytest.approx(1 / 12, 1e-5))]
"""θ' = −∂V with V = ¼ log(2 + cos θ): V″ = 1/4 at π, −1/12 at 0; six digits are printed."""


def test_where_the_slow_flow_ends(page):
    assert ends_on(page) == UNEVEN_RING


def test_a_rate_of_the_wrong_sign_is_seen(report, monkeypatch):
    rate = Equilibrium.rate.fget
    monkeypatch.setattr(Equilibrium, "rate", property(lambda e: -rate(e)))
    (first, second) = ends_on(end_states_section(report.limit))
    assert (first, second) != tuple(UNEVEN_RING)
    assert (first[:2], second[:2]) == (("stable", 1), ("repelling", -1))


def test_end_states_only_of_a_flow_and_within_bounds(report, monkeypatch):
    additive = next(e.problem for e in CATALOGUE if e.outcome == "diffusive")
    frozen = next(e.problem for e in CATALOGUE if e.outcome == "frozen")
    assert end_states_section(derive_limit(additive)) == ""
    assert end_states_section(derive_limit(frozen)) == ""
    monkeypatch.setattr(pages, "SOUGHT_WEIGHTS", 1)
    assert "Not sought for this page" in end_states_section(report.limit)


def test_why_there_are_no_end_states(report, monkeypatch):
    def refused(self, starts=None):
        raise NotCoveredError("asks for <all> samples")

    monkeypatch.setattr(type(report.limit), "end_states", refused)
    assert "<p>asks for &lt;all&gt; samples</p>" in end_states_section(report.limit)


def test_a_search_that_finds_nothing_stops_early(report, monkeypatch):
    asked = []
    search = type(report.limit).end_states

    def found(self, starts=None):
        asked.append(starts)
        return replace(search(self, starts), equilibria=())

    monkeypatch.setattr(type(report.limit), "end_states", found)
    assert "none was found" in end_states_section(report.limit)
    assert len(asked) == 1


def test_machines_get_the_same_content(report, page, tmp_path):
    file, command = tmp_path / "report.json", "python -m numerics <b>.toml"
    write_json(report, file, command)
    content = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["command"] == command
    shown = html.unescape(page)
    assert content["conclusion"] in shown
    statements = equations(report.limit)
    assert [s["text"] for s in content["derivation"]] == [s.text for s in statements]
    assert [s["latex"] for s in content["derivation"]] == [s.latex for s in statements]
    answers = [step.verdict.value for step in report.limit.evidence.steps]
    assert {True, False} <= set(answers), "each answer is seen"
    assert [step["answer"] for step in content["evidence"]] == answers
    for step in content["evidence"]:
        assert f"{step['question']}: {step['how']}" in shown
    assert [c["name"] for c in content["checks"]] == [c.name for c in report.checks]
    assert all(name in shown and text in shown for name, text in content["versions"].items())
    assert content["settings"]["seed"] == report.settings.seed
    (means,) = content["means"]
    assert np.shape(means["limit_at_alpha"]["w1"]["value"]) == np.shape(means["times"])
    assert content["speeds"]["exponents"]["value"] == report.scaling.law.exponents.value.tolist()
    assert content["fast_phase"]["expected"] == report.fast.expected


def test_what_is_not_a_number_is_null_for_machines(report, tmp_path):
    lost = replace(report.checks[0], measured=np.inf, expected=0.0, error=0.0)
    write_json(replace(report, checks=(lost,)), tmp_path / "report.json", "")
    (check,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["checks"]
    assert check["measured"] is None
    assert check["statistic"] is None


def test_markup_of_the_user_is_escaped(page):
    assert "<b>" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(report, tmp_path, width):
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    write_report(report, page, "python -m numerics ring.toml")
    # The page reports on itself: width, formulas with a size, pictures with a size.
    probe = """<script>addEventListener("load", () => { const sized = (q) =>
      [...document.querySelectorAll(q)].filter(e => e.getBoundingClientRect().height > 5).length;
      document.title = JSON.stringify([document.documentElement.scrollWidth <= innerWidth,
        sized("math"), sized("figure svg")]); });</script>"""
    page.write_text(page.read_text(encoding="utf-8") + probe, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},2000",
            "--enable-logging=stderr",
            f"--screenshot={picture}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    title = re.search(r"<title>\[(\w+),(\d+),(\d+)\]</title>", done.stdout)
    assert title is not None
    assert title.group(1) == "true"
    assert int(title.group(2)) >= 8
    assert int(title.group(3)) == 4
    assert "CONSOLE" not in done.stderr
