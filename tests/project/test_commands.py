"""The commands beside their results: starter, keys, bad input, and a clean stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sympy as sp
from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache

from derive import NoisyGradientDescent, derive_limit
from derive import __main__ as derive_command
from derive.files.models import model_file
from numerics import __main__ as numerics_command
from numerics import compile_limit, simulate_descent, simulate_limit
from numerics.codegen.deferred_sigint import compiling_to_the_end
from numerics.codegen.functions import compile_function

RING = Path(__file__).parent.parent.parent / "worked_examples" / "ring.toml"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
        "from derive.files.models.model_file import load_model\n"
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


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("command", "library"), [("derive", "sympy"), ("numerics", "numba")])
def test_an_interrupt_during_imports_is_one_line(tmp_path, command: str, library: str) -> None:
    """The library is one that takes long to import, and is interrupted in the middle."""
    (tmp_path / f"{library}.py").write_text("import os\nos.kill(os.getpid(), 2)\n")
    run = subprocess.run(
        [sys.executable, "-m", command, str(RING)],
        cwd=RING.parent.parent,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr, run.stdout) == (130, "interrupted\n", "")


@pytest.mark.parametrize("command", [derive_command, numerics_command], ids=["derive", "numerics"])
def test_an_interrupt_of_the_work_is_one_line(monkeypatch, capsys, command) -> None:
    def interrupted(path) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command, "load_model", interrupted)
    assert command.main([str(RING)]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


@pytest.mark.parametrize("command", [derive_command, numerics_command], ids=["derive", "numerics"])
@pytest.mark.parametrize("line", ["sys.exit(0)", "sys.exit('done')", "raise KeyError('w')"])
def test_a_python_model_that_ends_the_program_is_refused(tmp_path, capsys, command, line) -> None:
    model = tmp_path / "model.py"
    model.write_text(f"import sys\n{line}\n")
    assert command.main([str(model)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {model}: running it raised ")


@pytest.mark.parametrize("command", [derive_command, numerics_command], ids=["derive", "numerics"])
def test_the_help_says_that_python_models_are_executed(capsys, command) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "which is executed" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("command", "option", "message"),
    [
        (derive_command, "--latex no/folder/limit.tex", "No such file or directory: 'no/folder"),
        (numerics_command, "--plot no/folder/a.png", "No such file or directory: 'no/folder/a"),
        (numerics_command, "--plot a.xyz", "plot: no pictures of the kind .xyz; expected one of"),
        (numerics_command, "--report .", "Is a directory: '.'"),
        (numerics_command, "--json no/folder/a.json", "No such file or directory: 'no/folder/a"),
    ],
)
def test_outputs_are_tried_before_the_work(folder, capsys, command, option, message) -> None:
    assert command.main([str(RING), *option.split()]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out, "nothing was derived yet"
    assert not list(folder.iterdir())


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
        pytest.raises(KeyboardInterrupt),
        compiling_to_the_end(),
        compiling_to_the_end(),
        event.install_listener("numba:compile", InTheMiddle()),
    ):
        outer(1.0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert outer.signatures, "it came before the end"


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    """Also where code is loaded, which numba does not report as it does compilation."""
    done = []
    with pytest.raises(KeyboardInterrupt), compiling_to_the_end():
        signal.raise_signal(signal.SIGINT)
        done.append("the block")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_not_lost_to_an_error_in_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), compiling_to_the_end():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("what was going on")


def test_handlers_of_others_are_heard_and_kept() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        handler = signal.getsignal(signal.SIGINT)
        with compiling_to_the_end():
            signal.raise_signal(signal.SIGINT)
            assert not heard
        assert heard == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler
    except KeyboardInterrupt:
        pytest.fail("Python's own handler was called")
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_code_is_loaded_or_compiled_where_an_interrupt_could_break_it(monkeypatch) -> None:
    load, unprotected, loaded = FunctionCache.load_overload, [], []

    def watched(cache, *arguments):
        loaded.append(cache._py_func.__name__)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            unprotected.append(cache)
        return load(cache, *arguments)

    monkeypatch.setattr(FunctionCache, "load_overload", watched)
    w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
    loss = (w1**2 + w2**2 - 1) ** 2 * (3 + w1) / 4  # no other test has it
    problem = NoisyGradientDescent(loss, loss + (w1**2 + w2**2) * eta / 2, (w1, w2), eta)
    settings = {"paths": 2, "seed": 0, "record": 2, "threads": 1}
    simulate_descent(problem, (0.6, 0.8), alpha=0.1, sigma=0.1, steps=3, **settings)
    simulate_descent(
        problem, (0.6, 0.8), alpha=0.1, sigma=0.1, steps=3, neighbourhood=1.0, **settings
    )
    fast = compile_limit(derive_limit(problem))
    simulate_limit(fast, (0.6, 0.8), time=0.1, **settings)
    fast.spectrum((0.6, 0.8))
    compile_function((w1,), w1, "identity")([1.0])
    assert {"advance", "limit", "identity"} <= set(loaded), "code of this model, at least"
    assert not unprotected
