"""Checkpoints go to the hub: a local stand-in of its HTTP endpoint records commits and files, which are compared with the folder."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from bertwright.checkpoints.push import push_checkpoint
from bertwright.errors import BertwrightError, InputError

# huggingface_hub hands its HTTP library a file as that no longer likes it.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OID = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 40,
    "README.md": b"---\nlibrary_name: transformers\n---\n# A model\n",
    "1_Pooling/config.json": b"{}",
    "training/optimizer.safetensors": b"not for others",
    ".hidden": b"nor this",
}


class Hub(ThreadingHTTPServer):
    """What the hub remembers: repositories, branches, requests, objects by hash, and the files of each commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.made: list[dict[str, Any]] = []
        self.branches: list[str] = []
        self.validated: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.commits: list[tuple[str, str, dict[str, bytes]]] = []
        self.tokens: set[str | None] = set()
        self.refuses: int | None = None
        self.loses = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Endpoint(BaseHTTPRequestHandler):
    """The few routes that an upload asks for."""

    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            whole = b""
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self) -> None:
        self.answer({"error": "not found"}, 404)

    def do_POST(self) -> None:
        hub, body = self.server, self.body()
        hub.tokens.add(self.headers.get("Authorization"))
        path = self.path.split("?")[0]
        if hub.refuses is not None:
            self.answer({"error": "refused"}, hub.refuses)
        elif path == "/api/repos/create":
            said = json.loads(body)
            hub.made.append(said)
            self.answer({"url": f"{hub.address}/{said.get('organization') or 'me'}/{said['name']}"})
        elif path == "/api/validate-yaml":
            hub.validated.append(json.loads(body)["content"])
            self.answer({"errors": [], "warnings": []})
        elif "/branch/" in path:
            hub.branches.append(path.rpartition("/")[2])
            self.answer({})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            kinds = [{"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"} for one in asked]
            self.answer({"files": [{**kind, "shouldIgnore": False} for kind in kinds]})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            actions = [{**one, "actions": {"upload": {"href": f"{hub.address}/objects/{one['oid']}"}}} for one in objects]
            self.answer({"transfer": "basic", "objects": actions})
        elif "/commit/" in path:
            self.commit(path, [json.loads(line) for line in body.decode().splitlines()])
        else:
            self.answer({"error": f"no route {path}"}, 404)

    def commit(self, path: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        self.server.commits.append((path.split("/commit/")[0].removeprefix("/api/models/"), path.rpartition("/")[2], files))
        self.answer({"success": True, "commitUrl": f"{self.server.address}/me/model/commit/{OID}", "commitOid": OID})

    def do_PUT(self) -> None:
        content = self.body()
        if self.server.loses:
            self.answer({}, 400)
            return
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.answer({})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # chunked storage has a server of its own
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "step-000300" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "step-000300"


PUBLISHED = {name: content for name, content in FILES.items() if not name.startswith(("training/", "."))}


def test_every_file_arrives_but_those_of_the_training(hub: Hub, folder: Path) -> None:
    pushed = push_checkpoint(folder, "team/model", private=True, endpoint=hub.address)
    assert pushed.address == f"{hub.address}/team/model"
    assert pushed.commit == OID
    assert hub.commits == [("team/model", "main", PUBLISHED)]
    assert hub.tokens == {"Bearer hf_stand_in"}
    (made,) = hub.made
    assert (made["organization"], made["name"]) == ("team", "model")
    assert "private" in json.dumps(made)
    assert set(hub.validated) == {FILES["README.md"].decode()}


def test_a_branch_is_made_and_written(hub: Hub, folder: Path) -> None:
    pushed = push_checkpoint(folder, "model", revision="v2", endpoint=hub.address)
    assert pushed.name == "me/model"
    assert pushed.address == f"{hub.address}/me/model/tree/v2"
    assert hub.branches == ["v2"]
    assert [(name, branch) for name, branch, _ in hub.commits] == [("me/model", "v2")]


@pytest.mark.parametrize(("status", "said"), [(401, "the token is not known there"), (403, "the token may not write there")])
def test_a_refusal_is_said(hub: Hub, folder: Path, status: int, said: str) -> None:
    hub.refuses = status
    with pytest.raises(BertwrightError, match=said):
        push_checkpoint(folder, "team/model", endpoint=hub.address)
    assert hub.commits == []


def test_a_file_that_is_not_taken_is_said(hub: Hub, folder: Path) -> None:
    hub.loses = True
    with pytest.raises(BertwrightError, match=r"did not take every file .*model\.safetensors"):
        push_checkpoint(folder, "team/model", endpoint=hub.address)
    assert hub.commits == []


def test_a_hub_that_is_not_there_is_said(hub: Hub, folder: Path) -> None:
    gone = hub.address
    hub.server_close()
    with pytest.raises(BertwrightError, match=r"cannot be reached .*: look at the network"):
        push_checkpoint(folder, "team/model", endpoint=gone)


def test_a_push_needs_a_token_and_a_name(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no name of a repository"):
        push_checkpoint(folder, "a/b/c", endpoint=hub.address)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(folder / "none"))
    with pytest.raises(InputError, match="there is no Hugging Face token"):
        push_checkpoint(folder, "team/model", endpoint=hub.address)


def test_the_command_pushes_to_the_endpoint_of_the_environment(hub: Hub, folder: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-m", "bertwright", "push", str(folder), "team/model", "--json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"name": "team/model", "address": f"{hub.address}/team/model", "commit": OID}
    assert hub.commits == [("team/model", "main", PUBLISHED)]
