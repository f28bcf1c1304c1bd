"""Many files: trees kept, names never shared, faults reported, interruptions continued."""

import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.batch.executors import threads
from vaecodec.batch.jobs import FileJob
from vaecodec.batch.planning import ManyFiles
from vaecodec.batch.report import FileReport
from vaecodec.errors import UsageError, VaecodecError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Pictures in nested folders, two that differ in their suffix alone, a broken one, and a
    text."""
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    names = ["a.png", "a.jpg", "b.webp", "deep/c.png", "deep/er/d.bmp"]
    for number, name in enumerate(names):
        Image.fromarray(make_photo(40 + number, 50, seed=number)).save(folder / name)
    (folder / "deep" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def call(tiny_model_path: Path):
    def command(*arguments: object) -> Result:
        words = [*map(str, arguments), "--model", str(tiny_model_path)]
        return CliRunner().invoke(main, words)

    return command


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_tree_there_and_back(call, tree: Path, tmp_path: Path):
    out, back = tmp_path / "out", tmp_path / "back"
    result = call("encode", tree, "-r", "-o", out, "--jobs", 2)
    assert result.exit_code == 1
    assert result.stdout.startswith("5 done, 1 failed, ")
    assert result.stderr.count("\n") == 1 and "broken.png: " in result.stderr
    expected = {"a.png.vae", "a.jpg.vae", "b.vae", "deep/c.vae", "deep/er/d.vae"}
    assert files_in(out) == expected
    result = call("decode", out, "-r", "-o", back)
    assert result.exit_code == 0 and result.stdout.startswith("5 done, 0 failed, ")
    names = {"a.png.png", "a.jpg.png", "b.png", "deep/c.png", "deep/er/d.png"}
    assert files_in(back) == names
    sizes = {Image.open(back / name).size for name in names}
    assert sizes == {(50, 40 + number) for number in range(5)}


def test_jobs_give_the_same_bytes(call, tree: Path, tmp_path: Path):
    for jobs in (1, 2):
        call("encode", tree, "-o", tmp_path / str(jobs), "--jobs", jobs)
    for name in files_in(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert files_in(tmp_path / "1") == {"a.png.vae", "a.jpg.vae", "b.vae"}, "not below without -r"


def test_nothing_is_done_twice_or_overwritten(call, tree: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.vae").write_bytes(b"mine")
    result = call("encode", tree, "-o", out)
    assert result.exit_code == 1 and "b.vae: exists" in result.stderr
    before = {name: (out / name).stat().st_mtime_ns for name in files_in(out)}
    result = call("encode", tree, "-o", out, "--skip-existing")
    assert result.exit_code == 0
    assert result.stdout == "0 done, 0 failed, 3 skipped, not taken: 1 .txt\n"
    assert {name: (out / name).stat().st_mtime_ns for name in files_in(out)} == before
    assert (out / "b.vae").read_bytes() == b"mine"


def test_without_a_folder_outputs_stand_beside_their_sources(call, tree: Path):
    assert call("encode", tree / "b.webp", tree / "deep" / "c.png").exit_code == 0
    assert (tree / "b.vae").exists() and (tree / "deep" / "c.vae").exists()


def test_patterns(call, tree: Path, tmp_path: Path):
    assert call("encode", tree / "*.png", "-o", tmp_path / "o").exit_code == 0
    assert files_in(tmp_path / "o") == {"a.vae"}
    result = call("encode", tree / "*.xyz", "-o", tmp_path / "o")
    assert result.exit_code == 2 and "matches no file" in result.stderr


def test_stop_on_error(call, tree: Path, tmp_path: Path):
    sources = [tree / "deep" / "broken.png", tree / "a.png", tree / "b.webp"]
    result = call("encode", *sources, "-o", tmp_path / "o", "--jobs", 1, "--on-error", "stop")
    assert result.exit_code == 1 and result.stdout.startswith("0 done, 1 failed")


def test_unreadable_and_missing_files_are_reported(call, tree: Path, tmp_path: Path):
    result = call("encode", tree / "none.png", tree / "a.png", "-o", tmp_path / "o")
    assert result.exit_code == 1
    assert "none.png: no such file" in result.stderr and result.stdout.startswith(
        "1 done, 1 failed"
    )


def test_outputs_that_would_coincide_are_refused(tmp_path: Path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.png").write_bytes(b"")
    inputs = [tmp_path / "x" / "same.png", tmp_path / "y" / "same.png"]
    with pytest.raises(UsageError, match="would all become"):
        list(ManyFiles(inputs, tmp_path / "out", ".vae", lambda path: True).jobs())


def test_interruption_leaves_whole_files_only(tmp_path: Path):
    jobs = [FileJob(tmp_path / str(n), tmp_path / f"{n}.out") for n in range(10)]

    def work(job: FileJob) -> FileReport:
        if job.source.name == "5":
            raise VaecodecError("bad")
        job.target.write_bytes(b"whole")
        return FileReport(job.source, job.target)

    with threads(2) as engine:
        outcomes = iter(engine.run(jobs, work))
        for _ in range(3):
            next(outcomes)
        outcomes.close()  # what an interrupt does
    assert len(list(tmp_path.iterdir())) <= 5
    with threads(2) as engine:
        finished = list(engine.run(jobs, work, is_done=lambda job: job.target.exists()))
    assert sum(o.is_skipped for o in finished) >= 3
    assert sum(o.fault is not None for o in finished) == 1
    assert len(list(tmp_path.glob("*.out"))) == 9


def test_pictures_survive(call, tree: Path, tmp_path: Path):
    before = {name: (tree / name).read_bytes() for name in files_in(tree)}
    call("encode", tree, "-r", "-o", tmp_path / "o")
    assert {name: (tree / name).read_bytes() for name in files_in(tree)} == before
    assert np.asarray(Image.open(tree / "a.png")).shape == (40, 50, 3)
    assert any((tmp_path / "o" / "deep").iterdir())


# Root reads everything; without these capabilities it is a user like others.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def test_interrupted_and_continued(tree: Path, tmp_path: Path, tiny_model_path: Path):
    """Ctrl-C, then a kill, then to the end: nothing is done twice, nothing is lost."""
    good = {tree / name for name in files_in(tree)} - {tree / "notes.txt"}
    bad = {tree / "deep" / "broken.png", tree / "deep" / "closed.png", tree / "locked"}
    good -= bad
    for number in range(20):
        path = tree / f"more{number % 3}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(make_photo(300, 400, seed=number % 2)).save(path)
        good.add(path)
    (tree / "deep" / "closed.png").write_bytes(b"")
    (tree / "deep" / "closed.png").chmod(0)
    (tree / "locked").mkdir(mode=0)
    prefix = AS_A_USER if os.geteuid() == 0 else []
    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip("root reads everything, and there is no setpriv to change that")
    command = [*prefix, sys.executable, "-m", "vaecodec", "encode", tree, "-r", "-o"]
    command += [tmp_path / "out", "--jobs", "2", "--json", "--skip-existing"]
    command += ["--model", tiny_model_path]
    done: list[Path] = []
    for number in (signal.SIGINT, signal.SIGTERM, None):
        before = files_in(tmp_path / "out")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while (
            number and process.poll() is None and len(files_in(tmp_path / "out")) < len(before) + 3
        ):
            time.sleep(0.005)
        if number:
            process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == (128 + number if number else 1)
        objects = [json.loads(line) for line in stdout.splitlines()]
        now = [Path(o["file"]) for o in objects if o["ok"] and "skipped" not in o]
        assert len(files_in(tmp_path / "out")) == len(before) + len(now), "the summary is right"
        summary = stderr.decode().splitlines()[-1]
        told = re.findall(rb"finishing [12] files?; again to stop now", stderr)
        assert len(told) == bool(number)
        assert summary.startswith(f"{len(now)} done, ")
        assert ("interrupted; --skip-existing continues" in summary) == bool(number)
        done += now
    assert sorted(done) == sorted(good)
    assert {Path(o["file"]) for o in objects if not o["ok"]} == bad
    assert not [name for name in files_in(tmp_path / "out") if not name.endswith(".vae")]
    verified = CliRunner().invoke(
        main, ["verify", *map(str, (tmp_path / "out").rglob("*.vae")), "--quick", "--quiet"]
    )
    assert verified.exit_code == 0 and verified.output == ""
    (tree / "locked").chmod(0o700)


def test_only_suffixes_of_pictures_are_replaced(call, tmp_path: Path):
    for name in ("photo.2021.05", "photo.2021.05.png"):
        Image.fromarray(make_photo(40, 50)).save(tmp_path / name, "PNG")
    assert call("encode", tmp_path / "photo.2021.05").exit_code == 0
    assert (tmp_path / "photo.2021.05.vae").exists()
    assert call("encode", tmp_path / "photo.2021.05.png", "-f").exit_code == 0
    assert {path.name for path in tmp_path.glob("*.vae")} == {"photo.2021.05.vae"}
    (tmp_path / "photo.2021.05.vae").rename(tmp_path / "photo.2021")
    assert call("decode", tmp_path / "photo.2021").exit_code == 0
    assert (tmp_path / "photo.2021.png").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("encode a.png -o out.png", "writes .vae files"),
        ("encode a.png b.webp -o same.vae", "folder"),
        ("encode . -o same.vae", "folder"),
        ("decode a.png -o out.vae", "writes .png files"),
        ("encode x.vae", "vaecodec decode"),
        ("decode a.png -o out.jpg", "vaecodec encode"),
        ("encode a.png -o https://example.org/photo.vae", "can only be read"),
        ("encode nothing://example.org/photo.png", "cannot be used"),
        ("encode a.png b.webp -o memory://here --scheduler tcp://nowhere:1", "no worker sees it"),
        ("encode a.png --manifest s3://bucket/run.jsonl", "not on this machine"),
        ("encode a.png -q 50 --target-psnr 30", "-q or a target"),
        ("encode a.png --target-psnr nan", "nan"),
    ],
)
def test_mistakes_say_what_was_meant(
    call, tree: Path, monkeypatch: pytest.MonkeyPatch, words: str, reason: str
):
    monkeypatch.chdir(tree)
    (tree / "x.vae").write_bytes(b"\x8fVAE and more")
    before = files_in(tree)
    result = call(*words.split())
    assert result.exit_code == 2 and reason in result.stderr, result.output
    assert result.stderr.startswith("vaecodec: ") and result.stderr.count("\n") == 1
    assert files_in(tree) == before


# --- odd files among many ------------------------------------------------------------------------


def _saved(mode: str, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (24, 20)).save(buffer, name, **options)
    return buffer.getvalue()


def test_odd_files_do_not_end_a_batch(tmp_path: Path, tiny_model_path: Path):
    """Each is one line with its name, or coded without what was damaged; the others go on."""
    folder = tmp_path / "in"
    folder.mkdir()
    pages = _saved("RGB", "TIFF", save_all=True, append_images=[Image.new("RGB", (24, 20))])
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHI4s", 0x112, 2, 4, b"top\0")
    exif += struct.pack("<HHI4s", 0x11A, 2, 4, b"ten\0") + bytes(4)
    good = {
        "a.png": _saved("RGB", "PNG"),
        "text.jpg": _saved("RGB", "JPEG", exif=exif),
        "z.bmp": _saved("RGB", "BMP"),
    }
    bad = {
        "half.tif": pages[: len(pages) // 2],
        "none.png": b"",
        "cut.webp": _saved("RGB", "WEBP")[:30],
        "cut.gif": _saved("P", "GIF")[:40],
    }
    for name, content in {**good, **bad}.items():
        (folder / name).write_bytes(content)
    words = ["encode", str(folder), "-r", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*words, "--model", str(tiny_model_path)])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    for name in bad:
        assert any(
            line.startswith("vaecodec: ") and name in line for line in result.stderr.splitlines()
        )
    assert f"{len(good)} done, {len(bad)} failed" in result.output
    for name in good:
        assert (tmp_path / "out" / name).with_suffix(".vae").exists()


def test_the_summary_names_what_was_not_taken(tmp_path: Path, tiny_model_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(_saved("RGB", "PNG"))
    for name in ("b.CR2", "c.cr2", "d.txt", "e.vae"):
        (folder / name).write_bytes(b"x")
    words = ["encode", str(folder), "-r", "-o", str(tmp_path / "out"), "--model"]
    result = CliRunner().invoke(main, [*words, str(tiny_model_path)])
    assert result.exit_code == 0
    assert "not taken: 2 .cr2 (develop raw photos to TIFF first), 1 .txt" in result.output
    assert ".vae" not in result.output.splitlines()[-1]


@pytest.mark.parametrize("quiet", [False, True])
def test_warnings_of_decoders_are_notes_of_the_file(
    tmp_path: Path, tiny_model_path: Path, quiet: bool
):
    source = tmp_path / "a.tif"
    one, two = (struct.pack("<HHI", 284, 3, count) for count in (1, 2))
    source.write_bytes(_saved("RGB", "TIFF").replace(one, two))
    words = ["encode", str(source), "-o", str(tmp_path / "a.vae"), "--model", str(tiny_model_path)]
    result = CliRunner().invoke(main, words + ["--quiet"] * quiet)
    assert result.exit_code == 0
    expected = f"{source}: warning of its reader: Metadata Warning, tag 284 had too many entries"
    assert result.stderr.startswith("" if quiet else expected)
    assert not quiet or result.output == ""


def test_preserve_keeps_the_modification_time(tmp_path: Path, tiny_model_path: Path):
    source, vae, back = tmp_path / "a.png", tmp_path / "a.vae", tmp_path / "b.png"
    source.write_bytes(_saved("RGB", "PNG"))
    os.utime(source, (1e9, 1e9))
    for words in (["encode", source, "-o", vae], ["decode", vae, "-o", back]):
        words = [*map(str, words), "--preserve", "--model", str(tiny_model_path)]
        assert CliRunner().invoke(main, words).exit_code == 0
    assert vae.stat().st_mtime == back.stat().st_mtime == 1e9
