"""The program as a whole: quick to start, quiet to stop, an exit code for everything."""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import glpn as library
from glpn.cli import main
from glpn.cli.app import VERBS, _command
from tests.cli.conftest import RunGlpn, command, run_for_real, write_photo

HEAVY = ("torch", "onnxruntime", "onnx", "numpy", "PIL", "huggingface_hub", "safetensors")


def loaded_after(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys\nprint(*({set(HEAVY)} & set(sys.modules)), file=sys.stderr)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert time.perf_counter() - start < 5  # a guard only: an import of torch alone takes longer
    return set(done.stderr.split())


def test_importing_glpn_loads_nothing_heavy() -> None:
    assert loaded_after("import glpn") == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["predict", "--help"],
        ["evaluate", "--help"],
        ["reproduce", "--help"],
        ["--version"],
    ],
)
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(f"from glpn.cli import main; assert main({arguments}) == 0") == set()


def test_looking_for_photographs_that_are_not_there_loads_no_engine() -> None:
    statement = "from glpn.cli import main; main(['predict', 'absent.jpg', '--quiet'])"
    assert not loaded_after(statement) & {"torch", "onnxruntime"}


def test_one_photograph_loads_no_run_time_but_the_one_that_predicts_it(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "kitchen.jpg")
    given = ["predict", str(photo), "-o", str(tmp_path / "out"), "--quiet"]
    code = (
        f"from glpn.cli import main; assert main({given}) == 0\n"
        "import sys; print(*sys.modules, file=sys.stderr)"
    )
    environment = {**os.environ, "GLPN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "onnxruntime" in loaded
    unused = {"openvino", "torch", "onnx", "huggingface_hub", "yaml", "rich", "scipy", "pydantic"}
    assert not loaded & unused
    slow_to_load = {"numpy.ma", "PIL.PngImagePlugin", "PIL.TiffImagePlugin", "glpn.weights.foreign"}
    assert not loaded & slow_to_load


def test_the_engines_on_offer_are_those_there_are() -> None:
    from glpn.cli.options import EngineName
    from glpn.engines.registry import engine_names

    assert tuple(engine.value for engine in EngineName) == engine_names()


def test_version_is_that_of_the_package() -> None:
    run = run_for_real("--version")
    assert run == (0, f"glpn {library.__version__}\n", "")


@pytest.mark.parametrize("name", list(VERBS))
def test_the_list_of_verbs_shows_the_summary_of_each_verb(name: Any) -> None:
    verb = _command(name, VERBS[name])
    assert " ".join(verb.help.split("\n\n")[0].split()) == VERBS[name].summary


def test_every_verb_has_help_with_examples(glpn: RunGlpn) -> None:
    for verb in ("predict", "info", "convert", "evaluate", "reproduce"):
        run = glpn(verb, "--help")
        assert run.code == 0 and f"glpn {verb} " in run.out and "Examples" in run.out


@pytest.mark.parametrize("arguments", [[], ["dream"], ["predict"], ["info"], ["convert", "x"]])
def test_incomplete_commands_are_usage_errors(
    glpn: RunGlpn, arguments: list[Any] | list[str]
) -> None:
    run = glpn(*arguments)
    assert run.code == 2 and "Traceback" not in run.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_without_traceback_and_keep_what_is_finished(
    model: Path, photo: Path, tmp_path: Path, number: Any
) -> None:
    arguments = ("predict", photo, "-", "-m", model, "-o", tmp_path / "out", "--json")
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command(*arguments), **pipes) as process:
        assert b"predicted" in process.stdout.readline()  # now it waits for standard input
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == b"stopped\n"
    assert library.read_depth(tmp_path / "out/room.png").size == (96, 128)


def test_a_reader_that_leaves_ends_the_run_in_silence(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    second = write_photo(tmp_path / "second.jpg")
    arguments = ("predict", photo, "-", second, "-m", model, "-o", tmp_path / "out")
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command(*arguments), **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(photo.read_bytes())
        process.stdin.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")


def test_an_unforeseen_error_is_one_line_and_70_and_a_traceback_only_for_debug(
    glpn: RunGlpn, monkeypatch: pytest.MonkeyPatch
) -> None:
    import glpn.cli.inputs as inputs

    def defect(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(inputs, "gather", defect)
    run = glpn("predict", "x.jpg")
    assert run.code == 70 and "Traceback" not in run.err
    assert run.err.startswith("error: internal error, please report: ZeroDivisionError: a defect")
    assert len(run.err.splitlines()) == 1
    assert "Traceback" in glpn("--debug", "predict", "x.jpg").err


def test_handlers_of_signals_are_put_back(glpn: RunGlpn) -> None:
    before = signal.getsignal(signal.SIGTERM)
    glpn("--version")
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_runs_outside_the_main_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["--version"]).result(timeout=30) == 0


@pytest.mark.slow
def test_a_terminal_shows_progress_and_a_pipe_does_not(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    second = write_photo(tmp_path / "second.jpg")
    arguments = ("predict", photo, second, "-m", model, "--format", "none")
    assert "━" not in run_for_real(*arguments).err
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        answers = process.stdout.read().decode()
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "━" in shown
    assert len(answers.splitlines()) == 2 and "━" not in answers


def test_a_file_that_cannot_be_read_is_named_and_no_defect(
    glpn: RunGlpn, monkeypatch: pytest.MonkeyPatch
) -> None:
    import glpn.cli.inputs as inputs

    def fail(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "K.txt")

    monkeypatch.setattr(inputs, "gather", fail)
    run = glpn("predict", "x.jpg")
    assert run.code == 74 and run.err == "error: K.txt: Permission denied\n"


def test_a_signal_sent_twice_does_not_interrupt_the_clean_up(
    glpn: RunGlpn, monkeypatch: pytest.MonkeyPatch
) -> None:
    import glpn.cli.inputs as inputs

    cleaned = []

    def stopped(*arguments: object, **options: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    monkeypatch.setattr(inputs, "gather", stopped)
    run = glpn("predict", "x.jpg")
    assert (run.code, run.err, cleaned) == (143, "stopped\n", [True])
