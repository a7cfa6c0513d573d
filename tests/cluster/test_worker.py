"""A worker without Ray: what it does with one batch, here and far away."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from glpn.cluster import place_of, prepare
from glpn.cluster.places import Place, read
from glpn.cluster.worker import Worker
from glpn.errors import CannotCreateOutput, MissingDependency, MissingInput
from tests.cluster.pictures import ENGINE, job_for, predict, write_photos

pytest.importorskip("fsspec", reason="needs pip install -c constraints.txt '.[cluster]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 3)


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What `glpn predict` makes of them: name → bytes."""
    return predict(photos, tmp_path_factory.mktemp("predicted"))


@pytest.fixture
def bucket() -> str:
    """A remote folder of this process."""
    return f"memory://bucket-{uuid.uuid4().hex}"


def batch_of(pictures: Any) -> dict[str, Any]:
    names, stems, images = zip(*pictures, strict=True)
    return {"name": names, "stem": stems, "image": images}


def found(photos: Path) -> list[tuple[str, str]]:
    return [(path.name, str(path)) for path in sorted(photos.glob("*.jpg"))]


def outputs(place: Place) -> dict[str, bytes | None]:
    return {n: place.get(n) for n in place.names(recursive=False) if n.endswith(".png")}


def test_a_folder_gets_the_bytes_of_predict(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    job = job_for(tmp_path)
    answers = Worker(job)(batch_of(prepare(job, found(photos))[1]))
    assert answers["status"] == ["predicted"] * 3
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.png")} == expected


def test_a_remote_place_gets_the_bytes_of_predict_and_its_notes(
    photos: Path, expected: dict[str, bytes], bucket: str
) -> None:
    source = f"{bucket}/photos"
    for path in photos.glob("*.jpg"):
        place_of(source).put(path.name, path.read_bytes())
    job = job_for(f"{bucket}/depth")
    images = [(n, place_of(source).address(n)) for n in place_of(source).names(recursive=False)]
    answers = Worker(job)(batch_of(prepare(job, images)[1]))
    place = place_of(job.output)
    assert outputs(place) == expected
    assert answers["files"][0] == [f"{bucket}/depth/000.png"]
    notes = [n for n in place.names(recursive=False) if n.startswith("manifest")]
    assert len(notes) == 1 and place.get(notes[0]).count(b"\n") == 3
    again = Worker(job)(batch_of(prepare(job, images)[1]))
    assert again["status"] == ["kept"] * 3
    assert outputs(place) == expected


@pytest.mark.slow
def test_files_without_notes_are_kept_by_what_they_say_themselves(
    photos: Path, bucket: str, tmp_path: Path
) -> None:
    for destination in (bucket, tmp_path):
        job = job_for(destination)
        _, pictures = prepare(job, found(photos))
        Worker(job)(batch_of(pictures))
        place = place_of(str(destination))
        if place.folder is not None:  # the worker was killed before it could note anything
            for notes in place.folder.glob("manifest*"):
                notes.unlink()
        assert Worker(job)(batch_of(pictures))["status"] == ["kept"] * 3


def test_another_worker_that_was_faster_is_believed(photos: Path, tmp_path: Path) -> None:
    job = job_for(tmp_path)
    _, pictures = prepare(job, found(photos))
    slow, fast = Worker(job), Worker(job)
    fast(batch_of(pictures))
    assert slow(batch_of(pictures))["status"] == ["kept"] * 3


def test_a_bad_photograph_does_not_stop_the_batch(photos: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "photos"
    shutil.copytree(photos, mixed)
    (mixed / "001.jpg").write_bytes(b"no picture")
    job = job_for(tmp_path / "depth")
    answers = Worker(job)(batch_of(prepare(job, found(mixed))[1]))
    assert answers["status"] == ["predicted", "failed", "predicted"]
    assert "001.jpg" in answers["error"][1] and answers["kind"][1] == "UnsupportedImage"
    assert not (tmp_path / "depth/001.png").exists()


def test_a_photograph_that_is_gone_is_named(photos: Path, bucket: str) -> None:
    job = job_for(bucket)
    answers = Worker(job)(batch_of([("x.jpg", "x", f"{bucket}/x.jpg")]))
    assert answers["status"] == ["failed"] and answers["kind"] == ["MissingInput"]
    assert f"{bucket}/x.jpg" in answers["error"][0]


def test_all_workers_have_the_engine_of_the_machine_that_asks(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))  # without saved measurements
    spec = replace(job_for(tmp_path / "depth"), engine=replace(ENGINE, engine="auto"))
    few, _ = prepare(spec, found(photos))
    many, _ = prepare(spec, found(photos) * 100)
    assert few.engine == ENGINE  # onnxruntime starts fast
    assert many.engine.engine in ("onnxruntime", "openvino", "torch")
    again, _ = prepare(spec, found(photos) * 100)
    assert again.engine == many.engine


def test_another_model_s_files_are_not_mixed_with(photos: Path, tmp_path: Path) -> None:
    job = job_for(tmp_path)
    Worker(job)(batch_of(prepare(job, found(photos))[1]))
    other = replace(job, engine=replace(ENGINE, max_depth=20))
    with pytest.raises(CannotCreateOutput, match="--overwrite"):
        prepare(other, found(photos))


def test_outputs_never_replace_the_photos_in_a_folder(photos: Path, tmp_path: Path) -> None:
    own = write_png_photo(photos, tmp_path / "own")
    linked = tmp_path / "linked"
    linked.symlink_to(own.parent)
    for destination in (own.parent, linked):
        job = replace(job_for(destination), overwrite=True)
        with pytest.raises(CannotCreateOutput, match=r"000\.png: is one of the photos.*DEST"):
            prepare(job, [(own.name, str(own))])
    prepare(replace(job_for(tmp_path / "depth"), overwrite=True), [(own.name, str(own))])


def test_outputs_never_replace_the_photos_in_a_remote_place(
    photos: Path, tmp_path: Path, bucket: str
) -> None:
    own = write_png_photo(photos, tmp_path / "own")
    place_of(bucket).put(own.name, own.read_bytes())
    address = place_of(bucket).address(own.name)
    same = bucket.replace("memory://", "memory:///")
    for destination in (bucket, same):
        job = replace(job_for(destination), overwrite=True)
        with pytest.raises(CannotCreateOutput, match=r"000\.png: is one of the photos.*DEST"):
            prepare(job, [(own.name, address)])
    prepare(replace(job_for(f"{bucket}/depth"), overwrite=True), [(own.name, address)])


def write_png_photo(photos: Path, folder: Path) -> Path:
    """A photo that has the name of an output."""
    folder.mkdir()
    Image.open(photos / "000.jpg").save(folder / "000.png")
    return folder / "000.png"


def test_file_urls_are_folders(tmp_path: Path) -> None:
    assert place_of(f"file://{tmp_path}/a%20b").folder == tmp_path / "a b"
    assert place_of("C:\\photos").folder == Path("C:\\photos")
    assert place_of("s3://bucket/x").folder is None


def test_a_place_lists_its_files_and_only_those_of_its_folders_if_asked(bucket: str) -> None:
    place = place_of(bucket)
    assert place.names(recursive=False, missing_ok=True) == []
    with pytest.raises(MissingInput, match=bucket):
        place.names(recursive=False)
    place.put("b.jpg", b"1")
    place.put("deep/a.jpg", b"2")
    assert place.names(recursive=False) == ["b.jpg"]
    assert place.names(recursive=True) == ["b.jpg", "deep/a.jpg"]


def test_a_file_appears_whole_where_the_store_gives_no_such_promise(tmp_path: Path) -> None:
    # dir:: hands through to a local folder, which fsspec writes in place.
    place = Place(f"dir::file://{tmp_path}", None)
    place.put("a.png", b"old")
    place.put("a.png", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert place.get("a.png") == b"new"


def test_no_more_than_the_limit_is_read(bucket: str) -> None:
    place_of(bucket).put("a.jpg", b"0123456789")
    assert read(f"{bucket}/a.jpg", limit=4) == b"01234"


def test_an_unknown_kind_of_url_is_refused_by_name() -> None:
    with pytest.raises((MissingInput, MissingDependency), match="nosuch://x"):
        read("nosuch://x/a.jpg")
