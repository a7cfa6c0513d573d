"""The manifest: what it remembers after a kill, a torn line, a stranger's line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from glpn.errors import UsageError
from glpn.jobs import Entry, Manifest, Shard

MADE = {"image_hash": "a" * 64, "model_hash": "b" * 64, "asked": ""}


def entry(image: str, stem: str = "x", **values: Any) -> Entry:
    return Entry(image, stem, MADE, {"png16": {"name": f"{stem}.png", "scale": 1000}}, **values)


def noted(folder: Path, *entries: Entry, name: str = "") -> Manifest:
    manifest = Manifest(folder, name)
    for one in entries:
        manifest.append(one)
    manifest.close()
    return manifest


def test_what_was_noted_is_told_again_with_the_files_own_keys(tmp_path: Path) -> None:
    noted(tmp_path, entry("/p/x.jpg", seconds=1.5))
    entry_read = Manifest(tmp_path).read().recorded("/p/x.jpg", "png16", "x.png")
    assert entry_read == {**MADE, "name": "x.png", "scale": 1000}
    [line] = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["seconds"] == 1.5 and json.loads(line)["time"].endswith("+00:00")


def test_every_cut_of_the_file_loses_the_torn_line_alone_and_can_be_added_to(
    tmp_path: Path,
) -> None:
    noted(tmp_path, entry("/p/a.jpg", "a"), entry("/p/b.jpg", "b"))
    path = tmp_path / "manifest.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) - 1):
        path.write_bytes(whole[:cut])
        manifest = Manifest(tmp_path).read()
        assert manifest.recorded("/p/a.jpg", "png16", "a.png")
        assert not manifest.recorded("/p/b.jpg", "png16", "b.png")
        if cut % 50 == 0:
            noted(tmp_path, entry("/p/c.jpg", "c"))
            again = Manifest(tmp_path).read()
            assert again.recorded("/p/a.jpg", "png16", "a.png")
            assert again.recorded("/p/c.jpg", "png16", "c.png")


def test_a_failure_is_noted_and_does_not_undo_what_was_made(tmp_path: Path) -> None:
    noted(tmp_path, entry("/p/x.jpg"), Entry("/p/x.jpg", "x", error="the file is truncated"))
    assert Manifest(tmp_path).read().recorded("/p/x.jpg", "png16", "x.png")
    assert "truncated" in (tmp_path / "manifest.jsonl").read_text()


def test_a_name_that_another_photograph_took_since_is_no_longer_told_of_the_first(
    tmp_path: Path,
) -> None:
    noted(tmp_path, entry("/p/x.jpg"), entry("/q/x.jpg"))
    manifest = Manifest(tmp_path).read()
    assert not manifest.recorded("/p/x.jpg", "png16", "x.png")
    assert manifest.recorded("/q/x.jpg", "png16", "x.png")


def test_all_writers_of_a_folder_are_read(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        noted(tmp_path, entry(f"/p/{index}.jpg", str(index)), name=f"{index}-of-3")
    assert len(Manifest(tmp_path).read()) == 3


def test_the_latest_entry_counts_whatever_the_files_are_called(tmp_path: Path) -> None:
    for second, name in enumerate(("1-of-1", "", "1-of-1")):
        made = Entry("/p/x.jpg", "x", {**MADE, "asked": str(second)}, {"png16": {"name": "x.png"}})
        line = {**asdict(made), "time": f"2025-01-01T00:00:0{second}.000+00:00"}
        with Manifest(tmp_path, name).path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert Manifest(tmp_path).read().recorded("/p/x.jpg", "png16", "x.png")["asked"] == "2"


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[]",
        b'{"image": "/p/x.jpg"}',
        b'{"image": "/p/x.jpg", "stem": "../../x"}',
        b'{"image": "/p/x.jpg", "stem": "x", "time": 5}',
        b'{"image": "/p/x.jpg", "stem": "x", "files": {"png16": {"name": "/etc/passwd"}}}',
        b'{"image": "/p/x.jpg", "stem": "x", "files": {"png16": 5}}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_none_of_ours_or_leads_out_counts_for_nothing(
    tmp_path: Path, line: bytes
) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(line + b"\n")
    manifest = Manifest(tmp_path).read()
    assert len(manifest) == 0 and manifest.stems(["/p/x.jpg"]) == ["x"]


def test_photographs_keep_their_names_when_others_come_before_them(tmp_path: Path) -> None:
    noted(tmp_path, entry("/1/img.jpg", "img"), entry("/3/img.jpg", "img-2"))
    images = ["/1/img.jpg", "/2/img.jpg", "/3/img.jpg"]
    assert Manifest(tmp_path).read().stems(images) == ["img", "img-3", "img-2"]


def test_every_name_is_in_exactly_one_shard_and_shards_are_of_a_size() -> None:
    stems = [f"picture-{i}" for i in range(3000)]
    shards = [Shard.parse(f"{i}/3") for i in (1, 2, 3)]
    held = [[s for s in stems if shard.holds(s)] for shard in shards]
    assert sorted(stem for part in held for stem in part) == sorted(stems)
    # Binomial: 1000 expected, a standard deviation of 26; five of them
    assert all(abs(len(part) - 1000) < 130 for part in held)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "-1/2", "a/b", "1/2/3", "1/99999999"])
def test_impossible_shards_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)
