"""`glpn batch` on Ray: embedded, and on two nodes of which one is killed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glpn.cli import main
from tests.cluster.pictures import predict, write_photos

pytest.importorskip("ray", reason="needs pip install -c constraints.txt '.[cluster]'")
pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/cluster.md"
OPTIONS = ("--engine", "onnxruntime", "--json")
PATIENCE = 240  # seconds for a whole job on a busy machine


def batch(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    """`glpn batch` in a process of its own, as Ray's driver: its exit code, records and errors."""
    command = [sys.executable, "-m", "glpn", "batch", *map(str, arguments), *OPTIONS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 6)


def test_an_embedded_ray_writes_the_bytes_of_predict_and_goes_on_where_it_ended(
    photos: Path, tmp_path: Path
) -> None:
    expected = predict(photos, tmp_path / "predicted", "--fov", 67)
    (photos / "broken.jpg").write_bytes(b"no picture")
    depth = tmp_path / "depth"
    code, records, errors = batch(photos, f"file://{depth}", "--workers", 1, "--fov", 67)
    (photos / "broken.jpg").unlink()
    assert code == 65, errors
    assert Counter(r["status"] for r in records) == {"predicted": 6, "failed": 1}
    assert outputs(depth) == expected
    lines = errors.splitlines()
    assert len(lines) == 1 and "broken.jpg" in lines[0], errors  # and not a word of Ray's
    (depth / "000.png").unlink()
    code, records, errors = batch(photos, depth, "--workers", 1, "--fov", 67)
    assert (code, errors) == (0, "")
    assert Counter(r["status"] for r in records) == {"predicted": 1, "kept": 5}
    assert outputs(depth) == expected


def test_an_address_where_nothing_listens_is_refused_at_once(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    assert main(["batch", str(photos), str(tmp_path), "--ray", "localhost:1"]) == 2
    assert "localhost:1" in capsys.readouterr().err
    assert time.monotonic() - began < 30


def test_the_commands_of_the_page_run(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").symlink_to(photos)
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        command = [sys.executable, "-m", *shlex.split(line)]
        run = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
        )
        assert run.returncode == 0, f"{line}: {run.stderr}"
    assert outputs(tmp_path / "depth") == outputs(tmp_path / "depth-shards")
    assert len(outputs(tmp_path / "depth")) == 6


@contextmanager
def two_nodes() -> Any:
    """A cluster of three Ray nodes on this machine: a head without CPUs, and two workers."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    store = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**head, **store})
    try:
        yield cluster, [cluster.add_node(num_cpus=1, **store) for _ in range(2)]
    finally:
        cluster.shutdown()


def test_a_node_that_is_killed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    (tmp_path / "photos").mkdir()
    photos = write_photos(tmp_path / "photos", 64, side=160)
    expected = predict(photos, tmp_path / "predicted")
    depth = tmp_path / "depth"
    with two_nodes() as (cluster, nodes):
        command = [sys.executable, "-m", "glpn", "batch", photos, depth, *OPTIONS]
        job = subprocess.Popen(
            [*map(str, command), "--ray", cluster.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for_both_workers(depth, job)
            cluster.remove_node(nodes[1], allow_graceful=False)
            done = len(outputs(depth))
            answers, errors = job.communicate(timeout=PATIENCE)
        finally:
            job.kill()
    assert job.returncode == 0, errors
    assert done < 64, "the node was killed after the job's end: nothing was tested"
    assert outputs(depth) == expected
    records = [json.loads(line) for line in answers.splitlines()]
    assert Counter(r["image"] for r in records) == {str(p): 1 for p in sorted(photos.iterdir())}


def wait_for_both_workers(depth: Path, job: Any) -> None:
    """Until two workers have noted something, or the job ends."""
    end = time.monotonic() + PATIENCE
    while job.poll() is None and time.monotonic() < end:
        notes = [path for path in depth.glob("manifest-*.jsonl") if os.path.getsize(path)]
        if len(notes) >= 2:
            return
        time.sleep(0.05)
    pytest.fail(f"the job ended before both nodes worked: {job.stderr.read()}")
