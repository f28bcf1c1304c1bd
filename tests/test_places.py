"""Files at addresses: named, read within limits, written whole, listed, and never with secrets."""

import pickle
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image

import vaecodec
from vaecodec.__main__ import main
from vaecodec.atomic_files import write_whole
from vaecodec.errors import OutputExistsError, UsageError
from vaecodec.places import RemotePath, place, without_secrets


@pytest.fixture
def memory():
    """fsspec's memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture
def call(tiny_model_path: Path):
    def command(*arguments: object):
        words = [*map(str, arguments), "--model", str(tiny_model_path)]
        return CliRunner().invoke(main, words)

    return command


def serve(handler) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("text", "name", "suffix", "parent"),
    [
        ("s3://bucket/a/b@2x.png", "b@2x.png", ".png", "s3://bucket/a"),
        ("s3://bucket/what?.png", "what?.png", ".png", "s3://bucket"),
        ("https://host/a%20b.jpg?id=1", "a b.jpg", ".jpg", "https://host"),
        ("memory://c.png", "c.png", ".png", "memory://c.png"),
    ],
)
def test_names_of_addresses(text: str, name: str, suffix: str, parent: str):
    found = place(text)
    assert isinstance(found, RemotePath)
    assert (found.name, found.suffix) == (name, suffix)
    assert found.parent.url == parent
    assert pickle.loads(pickle.dumps(found)) == found


def test_what_is_no_address_is_a_path_here(tmp_path: Path):
    for text in ("a.png", "c:/x", "folder/s3:/x", str(tmp_path)):
        assert place(text) == Path(text)
    assert place(f"file://{tmp_path}/a.png") == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/a.jpg?X-Amz-Signature=hidden", "https://host/a.jpg?..."),
        ("sftp://me:hidden@host/a.jpg", "sftp://...@host/a.jpg"),
        ("s3://AKIA:hid/den@bucket/a.jpg", "s3://...@bucket/a.jpg"),
        ("http://127.0.0.1:80/logo@2x.png", "http://127.0.0.1:80/logo@2x.png"),
        ("could not reach 'http://me:hidden@host/?k=hidden', again", None),
    ],
)
def test_secrets_of_addresses_are_never_shown(text: str, shown: str | None):
    assert "hid" not in without_secrets(text)
    if shown is not None:
        assert str(RemotePath(text)) == shown
        assert "hid" not in repr(RemotePath(text))


def test_a_picture_there_and_back(call, memory, tmp_path: Path):
    Image.fromarray(make_photo(40, 50)).save(tmp_path / "a.png")
    memory.pipe_file("/in/a.png", (tmp_path / "a.png").read_bytes())
    assert call("encode", "memory://in/a.png").exit_code == 0
    result = call("encode", "memory://in/a.png")
    assert result.exit_code == 2 and "memory://in/a.vae: exists; use -f" in result.stderr
    assert call("encode", tmp_path / "a.png").exit_code == 0
    assert memory.cat_file("/in/a.vae") == (tmp_path / "a.vae").read_bytes()
    assert call("verify", "memory://in/a.vae").stdout == "memory://in/a.vae: ok\n"
    assert "50x40" in CliRunner().invoke(main, ["info", "memory://in/a.vae"]).stdout
    assert call("decode", "memory://in/a.vae", "-o", tmp_path / "b.png").exit_code == 0
    assert call("decode", "memory://in/a.vae", "-o", "memory://out/b.png").exit_code == 0
    assert memory.cat_file("/out/b.png") == (tmp_path / "b.png").read_bytes()


def test_a_tree_with_what_is_there_told_by_one_listing_a_folder(
    call, memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for number, name in enumerate(("a.png", "a.jpg", "deep/c.png", "deep/more/d.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_photo(40, 50, number)).save(tmp_path / name)
        memory.pipe_file(f"/in/{name}", (tmp_path / name).read_bytes())
    memory.pipe_file("/in/deep/broken.png", b"\x89PNG\r\n\x1a\n broken")
    result = call("encode", "memory://in", "-r", "-o", "memory://out")
    assert result.exit_code == 1 and result.stdout.startswith("4 done, 1 failed")
    assert "memory://in/deep/broken.png: " in result.stderr
    made = {path.removeprefix("/out/") for path in memory.find("/out")}
    assert made == {"a.png.vae", "a.jpg.vae", "deep/c.vae", "deep/more/d.vae"}
    asked: list[str] = []
    real = type(memory).info
    monkeypatch.setattr(
        type(memory), "info", lambda self, path, **more: asked.append(path) or real(self, path)
    )
    result = call("encode", "memory://in", "-r", "-o", "memory://out", "--skip-existing")
    assert result.stdout.startswith("0 done, 1 failed, 4 skipped")
    assert not [path for path in asked if path.endswith(".vae")]


def test_an_object_appears_whole_or_not_at_all(memory):
    target = place("memory://out/a.vae")

    def fail(file) -> None:
        file.write(b"half")
        raise UsageError("no more")

    with pytest.raises(UsageError, match="no more"):
        write_whole(target, fail, overwrite=True)
    assert not target.exists()
    write_whole(target, lambda file: file.write(b"whole"), overwrite=False)
    with pytest.raises(OutputExistsError, match="exists"):
        write_whole(target, lambda file: file.write(b"other"), overwrite=False)
    assert memory.cat_file("/out/a.vae") == b"whole"


def test_python_takes_addresses(memory, tmp_path: Path, tiny_model_path: Path):
    Image.fromarray(make_photo(40, 50)).save(tmp_path / "a.png")
    memory.pipe_file("/m.safetensors", tiny_model_path.read_bytes())
    codec = vaecodec.Codec("memory://m.safetensors", device="cpu")
    codec.encode_file(tmp_path / "a.png", "memory://a.vae")
    assert codec.decode("memory://a.vae").size == (50, 40)
    with pytest.raises(vaecodec.MissingFileError, match=r"memory://none\.vae: no such file"):
        codec.decode("memory://none.vae")


def test_a_picture_of_the_web(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("aiohttp", reason="the extra http is not installed")
    (tmp_path / "web").mkdir()
    (tmp_path / "here").mkdir()
    Image.fromarray(make_photo(40, 50)).save(tmp_path / "web" / "a b.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.chdir(tmp_path / "here")
    server = serve(handler)
    address = f"http://127.0.0.1:{server.server_port}"
    assert call("encode", f"{address}/a%20b.png?key=hidden").exit_code == 0
    assert [path.name for path in Path().iterdir()] == ["a b.vae"]
    result = call("encode", f"{address}/none.png?key=hidden")
    assert result.exit_code == 2 and "none.png?...: no such file" in result.stderr
    assert "hidden" not in result.output
    server.shutdown()


@pytest.mark.parametrize("tells_size", [True, False])
def test_what_is_too_large_is_not_read_to_its_end(tells_size: bool):
    pytest.importorskip("aiohttp", reason="the extra http is not installed")
    sent = 0

    class Endless(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            if tells_size:
                self.send_header("Content-Length", str(10**12))
            self.end_headers()

        def do_GET(self) -> None:
            nonlocal sent
            self.do_HEAD()
            try:
                while sent < 2**28:
                    sent += self.wfile.write(bytes(2**16))
            except OSError:
                pass

        def log_message(self, *_: object) -> None: ...

    server = serve(Endless)
    with pytest.raises(OSError, match="over the limit of 1000000 bytes"):
        RemotePath(f"http://127.0.0.1:{server.server_port}/a.png").open("rb", 10**6)
    server.shutdown()
    assert sent < 2**26


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    def missing(url: str) -> None:
        raise ImportError

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UsageError, match=r"pip install 'vaecodec\[gs\]'"):
        place("gs://bucket/a.png").open()
