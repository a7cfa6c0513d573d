"""The hub, against a small stand-in server on this machine: down, up, and what goes wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, weights
from glpn.errors import CheckpointError, MissingInput, OutputFailed, UsageError
from tests.networks import randomise

TINY = {"hidden_sizes": (8, 16, 40, 64), "depths": (1, 1, 1, 1), "decoder_hidden_size": 16}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_token_for_tests_alone"


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name → file → bytes; `gated` ones need the token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.requests: list[str] = []
        self.refuse_uploads = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        self.server.requests.append(f"{self.command} {'/'.join(parts)}")
        if parts[:2] == ["api", "models"]:
            files = self.repository("/".join(parts[2:4]))
            if files is not None:
                self.metadata("/".join(parts[2:4]), parts[4:], files)
            return
        files = self.repository("/".join(parts[:2]))
        if files is None:
            return
        name = "/".join(parts[4:])
        if name not in files:
            self.fail(404, "EntryNotFound")
            return
        self.answer(files[name], ETag=f'"{digest(files[name])}"', **{"X-Repo-Commit": COMMIT})

    def repository(self, repo_id: str) -> dict[str, bytes] | None:
        if repo_id not in self.server.repositories:
            self.fail(404, "RepoNotFound")
            return None
        permitted = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo_id in self.server.gated and not permitted:
            self.fail(403, "GatedRepo")
            return None
        return self.server.repositories[repo_id]

    def metadata(self, repo_id: str, rest: list[str], files: dict[str, bytes]) -> None:
        if rest[:1] == ["revision"] and rest[1] not in ("main", COMMIT):
            return self.fail(404, "RevisionNotFound")
        if rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": digest(data)}
                for name, data in files.items()
            ]
            return self.answer_json(tree)
        siblings = [{"rfilename": name} for name in files]
        self.answer_json({"id": repo_id, "sha": COMMIT, "siblings": siblings})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        self.server.requests.append(f"POST {'/'.join(parts)}")
        if self.server.refuse_uploads or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(403, "Forbidden")
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo_id = f"{asked['organization'] or 'tester'}/{asked['name']}"
            self.server.repositories.setdefault(repo_id, {})
            return self.answer_json({"url": f"{self.server.url}/{repo_id}"})
        repo_id = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in files
            ]
            return self.answer_json({"files": modes})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                data = base64.b64decode(value["content"])
                self.server.repositories[repo_id][value["path"]] = data
            elif line["key"] == "deletedFile":
                del self.server.repositories[repo_id][line["value"]["path"]]
        url = f"{self.server.url}/{repo_id}/commit/{COMMIT}"
        self.answer_json({"commitUrl": url, "commitOid": COMMIT})

    def answer_json(self, value: object) -> None:
        self.answer(json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status: int, code: str) -> None:
        self.answer(b"", status, **{"X-Error-Code": code, "X-Error-Message": code})


def digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def model() -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    network = GLPNForDepthEstimation(GLPNConfig(**TINY))
    randomise(network)
    return network.eval()


@pytest.fixture
def published(hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path) -> Hub:
    model.save_pretrained(tmp_path / "published")
    files = {file.name: file.read_bytes() for file in (tmp_path / "published").iterdir()}
    pickle = {"pytorch_model.bin": b"never fetched", "training_args.bin": b"never fetched"}
    hub.repositories["someone/depth"] = {**files, **pickle, "README.md": b"# a card"}
    return hub


def test_a_hub_id_downloads_the_model_and_never_a_pickle(
    published: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    again = GLPNForDepthEstimation.from_pretrained("someone/depth", cache_dir=tmp_path / "cache")
    state, wanted = again.state_dict(), model.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    assert not any(request.endswith(".bin") for request in published.requests)


def test_what_was_downloaded_loads_again_without_the_network(
    published: Hub, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    folder = weights.resolve("someone/depth", cache_dir=cache)
    assert (folder / "README.md").read_text() == "# a card"
    published.requests.clear()
    assert weights.resolve("someone/depth", cache_dir=cache, local_files_only=True) == folder
    assert published.requests == []


def test_an_unknown_repository_lists_the_choices(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"someone/absent: .*no such repository.*bundled name"):
        weights.resolve("someone/absent", cache_dir=tmp_path)


def test_an_unknown_revision_is_named(published: Hub, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"'v9'.*no such revision"):
        weights.resolve("someone/depth", revision="v9", cache_dir=tmp_path)


def test_a_gated_repository_needs_the_token(published: Hub, tmp_path: Path) -> None:
    published.gated.add("someone/depth")
    with pytest.raises(MissingInput, match="access is restricted"):
        weights.resolve("someone/depth", cache_dir=tmp_path / "a", token=False)
    folder = weights.resolve("someone/depth", cache_dir=tmp_path / "b", token=TOKEN)
    assert (folder / "config.json").is_file()


def test_a_repository_with_a_pickle_alone_is_sent_to_convert(
    published: Hub, tmp_path: Path
) -> None:
    del published.repositories["someone/depth"]["model.safetensors"]
    with pytest.raises(CheckpointError, match=r"someone/depth: .*glpn convert"):
        weights.resolve("someone/depth", cache_dir=tmp_path)


def test_a_repository_without_a_configuration_is_no_model(published: Hub, tmp_path: Path) -> None:
    del published.repositories["someone/depth"]["config.json"]
    with pytest.raises(MissingInput, match=r"no config\.json"):
        weights.resolve("someone/depth", cache_dir=tmp_path)


def test_a_hub_out_of_reach_is_missing_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(MissingInput, match="out of reach"):
        weights.resolve("someone/depth", cache_dir=tmp_path)


@pytest.mark.parametrize("source", ["no-such-model", "./someone/depth", "/no/folder", "a/b/c", ""])
def test_what_is_no_folder_name_or_id_is_refused_without_the_network(hub: Hub, source: str) -> None:
    with pytest.raises(MissingInput, match="bundled name"):
        weights.resolve(source)
    assert hub.requests == []


def test_a_path_object_is_never_a_hub_id(published: Hub) -> None:
    with pytest.raises(MissingInput, match="no such folder"):
        weights.resolve(Path("someone/depth"))
    assert published.requests == []


def test_an_existing_folder_and_a_bundled_name_are_found_without_the_network(
    hub: Hub, tmp_path: Path
) -> None:
    assert weights.resolve(str(tmp_path)) == tmp_path
    for name, folder in weights.bundled().items():
        assert weights.resolve(name) == folder
        assert (folder / "config.json").is_file()
    assert hub.requests == []


def test_the_folder_of_a_run_names_its_models(
    model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    for name in ("best", "last"):
        model.save_pretrained(tmp_path / "run" / name)
    with pytest.raises(MissingInput, match=r"did you mean .*run/best, .*run/last\?"):
        weights.resolve(tmp_path / "run")


def test_a_slash_at_the_end_of_a_name_or_folder_changes_nothing(
    hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "run")
    assert weights.resolve(f"{tmp_path}/run/") == tmp_path / "run"
    assert weights.resolve("glpn-b0-indoor/") == weights.resolve("glpn-b0-indoor")


def test_a_pushed_model_can_be_loaded_from_the_hub(
    hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    url = model.push_to_hub("someone/mine", token=TOKEN, commit_message="First")
    assert url == f"{hub.url}/someone/mine/commit/{COMMIT}"
    written = {"checksums.json", "config.json", "model.safetensors"}
    assert hub.repositories["someone/mine"].keys() == written
    assert sum("/commit/" in request for request in hub.requests) == 1
    again = GLPNForDepthEstimation.from_pretrained("someone/mine", cache_dir=tmp_path)
    state, wanted = again.state_dict(), model.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_a_push_deletes_what_belongs_to_the_old_weights(
    hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    old = ("model.onnx", "trunk.onnx", "precision.json", "errors.json", "model.fp16.safetensors")
    kept = ("README.md", "onnx/model.onnx", "preprocessor_config.json", "training_args.bin")
    hub.repositories["someone/mine"] = dict.fromkeys((*old, *kept), b"{}")
    model.push_to_hub("someone/mine", token=TOKEN)
    written = {"checksums.json", "config.json", "model.safetensors"}
    assert hub.repositories["someone/mine"].keys() == {*written, *kept}
    GLPNForDepthEstimation.from_pretrained("someone/mine", cache_dir=tmp_path)


def test_a_model_and_its_processor_pushed_one_by_one_load_without_a_warning(
    hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    model.push_to_hub("someone/mine", token=TOKEN)
    GLPNImageProcessor(short_side=240).push_to_hub("someone/mine", token=TOKEN)
    files = {"checksums.json", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert hub.repositories["someone/mine"].keys() == files
    GLPNForDepthEstimation.from_pretrained("someone/mine", cache_dir=tmp_path)


def test_saving_can_push_under_the_name_of_the_folder(
    hub: Hub, model: GLPNForDepthEstimation, tmp_path: Path
) -> None:
    for part in (model, model.config, GLPNImageProcessor()):
        part.save_pretrained(tmp_path / "mymodel", push_to_hub=True, token=TOKEN)
    assert {"config.json", "preprocessor_config.json"} <= hub.repositories["tester/mymodel"].keys()


def test_a_refused_upload_is_an_output_error(hub: Hub, model: GLPNForDepthEstimation) -> None:
    hub.refuse_uploads = True
    with pytest.raises(OutputFailed, match="someone/mine"):
        model.push_to_hub("someone/mine", token=TOKEN)


def test_a_bad_repository_name_is_a_usage_error(model: GLPNForDepthEstimation) -> None:
    with pytest.raises(UsageError, match="user/name"):
        model.push_to_hub("../etc/passwd", token=TOKEN)
