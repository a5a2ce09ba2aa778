"""Models at https:// and in object stores: the same bytes, streamed."""

from __future__ import annotations

import http.server
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import mergec
import pytest
from mergec.checkpoints.addresses import AddressStore, ObjectFolder
from mergec.checkpoints.catalog import SCHEMES
from mergec.grammar.diagnostics import MergecError
from support.checkpoints import TELLING, tiny_mistral


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A plain web server that knows ranges."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        part = data[int(found[1]) : int(found[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {found[1]}-{found[2]}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def models(place: Path) -> Path:
    for seed, name in enumerate(("a", "b")):
        folder = tiny_mistral(place / "models" / name, seed, shards=1 + seed)
        (folder / "tokenizer.json").write_text("{}")
    return place / "models"


@pytest.fixture
def web(models: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Ranges, directory=os.fspath(models))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def merge_from(start: str, out: Path) -> dict[str, bytes]:
    recipe = f'save slerp {{ "{start}/a", "{start}/b", t = 0.4 }} to "{out}" {{ dtype = bfloat16 }}'
    mergec.run(mergec.compile(recipe))
    return {p.name: p.read_bytes() for p in out.iterdir() if p.name not in TELLING}


def test_a_web_server(models: Path, web: str, tmp_path: Path) -> None:
    expected = merge_from(str(models), tmp_path / "local")
    assert "tokenizer.json" in expected
    assert merge_from(web, tmp_path / "out") == expected


def test_one_file_of_a_web_server(models: Path, web: str, tmp_path: Path) -> None:
    text = f'save "{web}/a/model.safetensors" to "{tmp_path}/out" {{}}'
    mergec.run(mergec.compile(text))
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_an_object_store(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore's own store of local files stands for a bucket: the client is the real one."""
    pytest.importorskip("obstore")

    def open_bucket(address: str) -> AddressStore:
        folder = ObjectFolder(f"file://{models}/{address.removeprefix('s3://bucket/')}")
        return AddressStore(address, folder)

    monkeypatch.setitem(SCHEMES, "s3", open_bucket)
    expected = merge_from(str(models), tmp_path / "local")
    assert merge_from("s3://bucket", tmp_path / "out") == expected


@pytest.mark.parametrize("address", ["none", "a/none.safetensors"])
def test_what_is_not_there(web: str, tmp_path: Path, address: str) -> None:
    with pytest.raises(MergecError, match="E0602"):
        mergec.compile(f'save "{web}/{address}" to "{tmp_path}/out" {{}}')
