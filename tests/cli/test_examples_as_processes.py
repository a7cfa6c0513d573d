"""The examples that serve, or that start processes of their own, run twice in one folder too."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli import sets
from tests.cli.conftest import write_photo
from tests.cli.test_examples_twice import AS_PROCESSES, SHORTER, examples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM"),
]

# The programs of the example lines, as this Python starts them.
PROGRAMS = {
    "glpn": [sys.executable, "-m", "glpn"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run"],
}
PATIENCE = 300  # seconds for one run on a busy machine


def lines(verb: str) -> list[str]:
    return [line for line in examples() if line.startswith(verb)]


def words(line: str, *more: str) -> list[str]:
    program, *rest = shlex.split(line)
    return [*PROGRAMS[program], *rest, *more]


@pytest.fixture
def reader(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos and frames as the examples name them; `-m` of a tiny model keeps the runs short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GLPN_KEY", "secret")
    for name in ("a", "b"):
        write_photo(tmp_path / f"photos/{name}.jpg")
    return tmp_path


def test_every_example_that_needs_processes_is_run_below() -> None:
    assert len([line for line in examples() if line.startswith(AS_PROCESSES)]) == 5


@pytest.mark.parametrize("line", lines("glpn serve"))
def test_a_service_starts_and_stops_twice(reader: Path, model: Path, line: str) -> None:
    for _ in range(2):
        command = words(line, "--port", "0", "-m", str(model), "--threads", "1")
        with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as service:
            found = re.search(r":(\d+)$", service.stdout.readline().strip())
            assert found, service.stderr.read()
            with httpx.Client(base_url=f"http://127.0.0.1:{found[1]}", trust_env=False) as client:
                photo = (reader / "photos/a.jpg").read_bytes()
                headers = {"Content-Type": "image/jpeg", "X-API-Key": "secret"}
                answer = client.post("/v1/depth", content=photo, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
            service.terminate()
            _, errors = service.communicate(timeout=60)
        assert service.returncode in (0, 143) and "Traceback" not in errors, errors


@pytest.mark.parametrize("line", lines("glpn batch"))
def test_a_job_on_ray_runs_twice(reader: Path, model: Path, line: str) -> None:
    pytest.importorskip("ray", reason="needs pip install -c constraints.txt '.[cluster]'")
    # Neither the bucket nor the cluster exists: folders and an embedded Ray stand for them.
    line = line.replace("s3://photos/2026", f"file://{reader}/photos").replace(
        "s3://depth/2026", f"file://{reader}/depth"
    )
    line = line.replace(" --ray ray://head:10001", "")
    for _ in range(2):
        command = words(line, "-m", str(model), "--engine", "onnxruntime", "--workers", "1")
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert run.returncode == 0, run.stderr
        assert sorted(path.name for path in (reader / "depth").glob("*.png")) == ["a.png", "b.png"]


@pytest.mark.parametrize("line", lines("torchrun"))
def test_two_processes_train_and_the_second_run_is_refused(reader: Path, line: str) -> None:
    sets.nyu(reader / "nyu")
    (reader / "nyu/sync").symlink_to(reader / "nyu/official_splits/test")
    tiny = "model.config={hidden_sizes=[8,16,40,64],depths=[1,1,1,1],decoder_hidden_size=8}"
    shorter = [
        *(word for word in SHORTER["glpn train"].split() if not word.startswith("model.start")),
        *(
            "run.device=cpu",
            "data.val=",
            "model.preset=b0",
            "loop.batch=2",
            "augment.crop=[32,32]",
            tiny,
        ),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for code, said in ((0, ""), (1, "--resume")):
        run = subprocess.run(
            words(line, *shorter), capture_output=True, text=True, timeout=PATIENCE, env=environment
        )
        assert run.returncode == code and said in run.stderr, run.stderr
