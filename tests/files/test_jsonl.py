"""JSON line logs and lock files: full disks, kills, pipes, hostile lines, second processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from glpn.errors import CannotCreateOutput, OutputFailed
from glpn.files.jsonl import JsonLog, parse_line, read_lines
from glpn.files.lock import file_lock


def test_a_full_disk_stops_a_log_by_name() -> None:
    with closing(JsonLog("/dev/full")) as log, pytest.raises(OutputFailed, match="/dev/full"):
        log.append({"loss": 0.5})


def test_a_log_continues_after_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b')
    assert list(read_lines(path)) == [b'{"a": 1}\n']
    with closing(JsonLog(path)) as log:
        log.append({"c": 3})
    assert list(read_lines(path)) == [b'{"a": 1}\n', b'{"b\n', b'{"c": 3}\n']


def test_a_log_is_cut_to_the_size_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with closing(JsonLog(path)) as log:
        log.append([1])
        size = log.flush_to_disk()
        log.append([2])
    with closing(JsonLog(path, size)) as log:
        log.append([3])
    assert path.read_text() == "[1]\n[3]\n"


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with closing(JsonLog(path)) as log:
        threads = [
            threading.Thread(target=lambda: list(map(log.append, [["x" * 5000]] * 20)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [parse_line(line) for line in read_lines(path)] == [["x" * 5000]] * 80


def test_pipes_and_sockets_have_no_lines_and_make_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert list(read_lines(tmp_path / "pipe")) == []
        assert list(read_lines(tmp_path / "socket")) == []
    with pytest.raises(CannotCreateOutput, match="named pipe"):
        JsonLog(tmp_path / "pipe")


@pytest.mark.parametrize("line", [b"[" * 100_000, b"[" + b"9" * 5000 + b"]", b"\xff", b"{"])
def test_hostile_lines_are_value_errors(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse_line(line)


HOLD = """
import sys, time
from pathlib import Path
from glpn.files.lock import file_lock
with file_lock(Path(sys.argv[1]), doing="busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        refused = pytest.raises(CannotCreateOutput, match=rf"process {process.pid} is busy")
        with refused, file_lock(path, doing="busy"):
            pass
        process.kill()
    with file_lock(path, doing="busy"):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
