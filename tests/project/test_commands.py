"""The commands beside their results: starter, keys, bad input, and a clean stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import njit
from numba.core import event

from derive import __main__ as derive_command
from derive.files import model_file
from numerics import __main__ as numerics_command
from numerics.codegen.deferred_sigint import compiling_to_the_end

RING = Path(__file__).parent.parent.parent / "worked_examples" / "ring.toml"


def test_a_starter_is_written_once_and_derived(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert derive_command.main(["--new", "my.model"]) == 0
    assert derive_command.main(["my.model.toml"]) == 0
    assert "deterministic" in capsys.readouterr().out
    assert derive_command.main(["--new", "my.model.toml"]) == 2
    assert "my.model.toml" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "no/such/folder/model", "two\nlines"], ids=repr)
def test_a_starter_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    assert derive_command.main(["--new", name]) == 2
    assert not list(tmp_path.iterdir())


def test_all_keys_are_listed(capsys) -> None:
    assert derive_command.main(["--schema"]) == 0
    assert capsys.readouterr().out.strip() == model_file.describe_schema()


def test_a_python_model_serves_both_commands(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model.py"
    model.write_text(
        "from derive.files.model_file import load_model\n"
        f"model = load_model({str(RING)!r}).problem\n"
        "start, alpha, sigma, time = (0.6, 0.8), 0.05, 0.1, 0.3\n"
    )
    assert derive_command.main([str(model)]) == 0
    assert numerics_command.main([str(model), "--paths", "99"]) == 2
    assert "paths: expected at least 100" in capsys.readouterr().err


@pytest.mark.parametrize("command", [derive_command, numerics_command], ids=["derive", "numerics"])
def test_bad_input_is_one_line(tmp_path, capsys, command) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('weights = ["w1"]\nnoise = ["eta"]\nloss = "w1 +"\nnoisy_loss = "loss"\n')
    assert command.main([str(bad)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {bad}: loss: line 1, column ")


def test_a_number_that_is_missing_is_named(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    text = RING.read_text(encoding="utf-8")
    model = tmp_path / "model.toml"
    model.write_text(text[: text.index("[run]")], encoding="utf-8")
    assert numerics_command.main([str(model), "--start", "1,0"]) == 2
    assert "alpha: the model file does not give it" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_stops_cleanly_and_leaves_nothing(tmp_path) -> None:
    arguments = [str(RING), "--time", "1e9", "--report", "page.html", "--json", "verdict.json"]
    run = subprocess.Popen(
        [sys.executable, "-u", "-m", "numerics", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(RING.parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    while run.stdout.readline().strip():  # the limit is printed before the simulation
        pass
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.strip().endswith("interrupted")
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_an_interrupt_waits_for_the_compiler() -> None:
    class InTheMiddle(event.Listener):
        def on_start(self, event: event.Event) -> None:
            signal.raise_signal(signal.SIGINT)

        def on_end(self, event: event.Event) -> None:
            pass

    @njit
    def inner(x: float) -> float:
        return x + 1

    @njit
    def outer(x: float) -> float:
        return 2 * inner(x)

    with (
        compiling_to_the_end(),
        compiling_to_the_end(),
        event.install_listener("numba:compile", InTheMiddle()),
        pytest.raises(KeyboardInterrupt),
    ):
        outer(1.0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert outer.signatures, "it came before the end"
