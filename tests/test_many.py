"""Many files on any executor: lost workers, models that workers lack, records to go on from."""

import json
import pickle
import sys
import tracemalloc
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from conftest import make_photo
from PIL import Image

import vaecodec
from vaecodec.__main__ import main
from vaecodec.batch import executors
from vaecodec.batch.encoding import EncodeTask
from vaecodec.batch.engine import Engine, WorkerLostError
from vaecodec.batch.jobs import FileJob, FileOutcome, attempt
from vaecodec.batch.manifest import Manifest
from vaecodec.batch.record_lines import COLUMNS
from vaecodec.inference.loading import ModelReference, loader_of
from vaecodec.network import weight_files
from vaecodec.network.weight_files import forget_received


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(make_photo(40, 50, number)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


class Immediate(Executor):
    """Does a job when it is given, by `work`."""

    def __init__(self, work):
        self.given, self._work = 0, work

    def submit(self, attempt, task, job, weights):
        self.given += 1
        future: Future = Future()
        try:
            future.set_result(self._work(attempt, task, job, weights))
        except Exception as error:
            future.set_exception(error)
        return future


def outcomes_of(work, jobs, window: int = 2) -> dict[str, FileOutcome]:
    run = Engine(Immediate(work), lambda: window).run(jobs, lambda job: None)
    return {outcome.job.source.name: outcome for outcome in run}


def test_a_job_is_plain_data():
    task = EncodeTask(ModelReference(b"12345678"), passphrase=b"hidden", effort=0)
    assert pickle.loads(pickle.dumps(task)) == task
    assert "hidden" not in repr(task)


def test_given_executors_make_the_same_files(photos: Path, tmp_path: Path, tiny_model_path: Path):
    with ThreadPoolExecutor(2) as pool:
        for name, executor in (("a", None), ("b", pool), ("c", lambda: ThreadPoolExecutor(1))):
            summary = vaecodec.encode_many(
                photos, tmp_path / name, executor=executor, model=tiny_model_path, effort=0
            )
            assert (summary.done, summary.failed) == (3, 1)
            assert set(summary.faults) == {str(photos / "broken.png")}
    for number in range(3):
        made = {(tmp_path / name / f"{number}.vae").read_bytes() for name in "abc"}
        assert len(made) == 1
    again = vaecodec.encode_many(photos, tmp_path / "a", skip_existing=True, model=tiny_model_path)
    assert (again.done, again.skipped, again.failed) == (0, 3, 1)
    checked = vaecodec.verify_many(tmp_path / "a", model=tiny_model_path)
    assert (checked.done, checked.failed) == (3, 0)
    back = vaecodec.decode_many(tmp_path / "a", tmp_path / "back", model=tiny_model_path, to="jpg")
    assert back.done == 3 and Image.open(tmp_path / "back" / "1.jpg").size == (50, 40)


def test_a_file_that_ends_two_workers_is_passed_over_and_those_near_it_are_done():
    tried: list[str] = []

    def work(attempt, task, job, weights):
        tried.append(job.source.name)
        if job.source.name == "deadly" or (tried.count(job.source.name) == 1 and len(tried) < 3):
            raise BrokenExecutor
        return FileOutcome(job)

    found = outcomes_of(work, [FileJob(Path(name)) for name in ("near", "deadly", "a", "b")])
    assert set(found) == {"near", "deadly", "a", "b"}
    assert [name for name, outcome in found.items() if outcome.fault] == ["deadly"]
    assert "deadly: workers ended" in str(found["deadly"].fault)
    assert {name: tried.count(name) for name in found} == {"near": 2, "deadly": 2, "a": 1, "b": 1}


def test_a_worker_without_the_model_gets_it(
    photos: Path, tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model_id = weight_files.receive_weights(tiny_model_path.read_bytes())
    there, worker = dict(weight_files._received), {}
    sent = []

    def work(attempt, task, job, weights):
        sent.append(weights is not None)
        monkeypatch.setattr(weight_files, "_received", worker)
        try:
            return attempt(task, job, weights)
        finally:
            monkeypatch.setattr(weight_files, "_received", there)

    jobs = [FileJob(photos / f"{n}.png", tmp_path / f"{n}.vae") for n in range(3)]
    task = EncodeTask(ModelReference(model_id), effort=0)
    outcomes = list(Engine(Immediate(work), lambda: 1).run(jobs, task))
    assert [outcome.fault for outcome in outcomes] == [None] * 3
    assert sent == [False, True, False, False]


def test_what_a_lost_worker_had_written_already_is_done(
    photos: Path, tmp_path: Path, tiny_model_path: Path
):
    """Whoever does the file again finds the same file there; another is left alone, and a fault."""
    model_id = weight_files.receive_weights(tiny_model_path.read_bytes())
    task = EncodeTask(ModelReference(model_id), effort=0, with_digest=True)
    target = tmp_path / "0.vae"
    job = FileJob(photos / "0.png", target, is_there=False)
    first = attempt(task, job)
    written = target.stat()
    again = attempt(task, job)
    assert first.fault is None and again.fault is None
    assert again.report.facts["sha256"] == first.report.facts["sha256"]
    assert again.report.facts["bytes_out"] == written.st_size
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (
        written.st_ino,
        written.st_mtime_ns,
    )
    target.write_bytes(b"mine")
    assert "0.vae: exists" in str(attempt(task, job).fault) and target.read_bytes() == b"mine"
    unlisted = FileJob(photos / "0.png", target)
    assert "0.vae: exists" in str(attempt(task, unlisted).fault)


def test_a_record_is_gone_on_from(photos: Path, tmp_path: Path, tiny_model_path: Path):
    record = tmp_path / "run.jsonl"
    words = ["encode", str(photos), "-o", str(tmp_path / "out"), "--manifest", str(record)]
    words += ["--model", str(tiny_model_path), "--effort", "0"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and result.stdout.startswith("3 done, 1 failed")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [tuple(line) for line in lines] == [COLUMNS] * 4
    by_name = {Path(line["source"]).name: line for line in lines}
    assert "broken.png" in by_name["broken.png"]["fault"]
    assert by_name["0.png"]["bytes"] == (tmp_path / "out" / "0.vae").stat().st_size
    assert len(by_name["0.png"]["sha256"]) == 64 and by_name["0.png"]["fault"] is None
    (tmp_path / "out" / "0.vae").unlink()  # what is recorded is not looked for
    record.write_bytes(record.read_bytes() + b'{"source": "cut sho')
    Image.fromarray(make_photo(40, 50)).save(photos / "broken.png")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and result.stdout.startswith("1 done, 0 failed, 3 skipped")
    assert len(record.read_text().splitlines()) == 5
    record.write_text('{"other": 1}\n')
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "is not a record" in result.stderr


def test_of_a_file_that_is_done_again_the_last_line_counts(tmp_path: Path):
    record = tmp_path / "run.jsonl"
    lines = [("a", None), ("b", "broken"), ("a", "gone"), ("b", None), ("c", None)]
    for source, fault in lines:
        values = [source, f"{source}.vae", 1, None, None, 0.1, fault]
        with record.open("a") as file:
            print(json.dumps(dict(zip(COLUMNS, values, strict=True))), file=file)
    manifest = Manifest(record)
    done = {name: manifest.is_done(FileJob(Path(name), Path(f"{name}.vae"))) for name in "abcd"}
    manifest.close()
    assert done == {"a": False, "b": True, "c": True, "d": False}


def test_a_record_as_a_table_has_a_row_for_each_file_and_is_gone_on_from(
    photos: Path, tmp_path: Path, tiny_model_path: Path
):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    table, lines = tmp_path / "run.parquet", tmp_path / "run.jsonl"
    words = ["encode", str(photos), "-o", str(tmp_path / "out"), "--manifest", str(table)]
    words += ["--model", str(tiny_model_path), "--effort", "0"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and result.stdout.startswith("3 done, 1 failed")
    rows = parquet.read_table(table).to_pylist()
    assert rows == [json.loads(line) for line in lines.read_text().splitlines()]
    assert [Path(row["source"]).name for row in rows if row["fault"]] == ["broken.png"]
    lines.unlink()  # the table alone says what was done
    Image.fromarray(make_photo(40, 50)).save(photos / "broken.png")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and result.stdout.startswith("1 done, 0 failed, 3 skipped")
    assert len(lines.read_text().splitlines()) == 5
    rows = parquet.read_table(table).to_pylist()
    assert len(rows) == 4 and not [row for row in rows if row["fault"]]
    lines.unlink()
    table.write_bytes(b"PAR1 no more")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert f"{table}: is not a record" in result.stderr


def test_a_table_without_its_package_is_refused_before_any_work(
    photos: Path, tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    words = ["encode", str(photos), "-o", str(tmp_path / "out"), "--model", str(tiny_model_path)]
    result = CliRunner().invoke(main, [*words, "--manifest", str(tmp_path / "run.parquet")])
    assert result.exit_code == 2 and "pip install 'vaecodec[parquet]'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_client_holds_no_more_for_more_files():
    """The window bounds what is given out, whatever the number of files."""
    peaks, path = [], Path("a.png")
    for count in (500, 5_000):
        run = Engine(Immediate(lambda attempt, task, job, weights: FileOutcome(job)), lambda: 64)
        jobs = (FileJob(path) for _ in range(count))
        tracemalloc.start()
        assert sum(1 for _ in run.run(jobs, lambda job: None)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


class BrokenConnection:
    """A Dask client of which one result never arrives, although the job ended."""

    status = "running"

    def __init__(self):
        self.futures: dict[str, object] = {}
        self.given: Future = Future()

    def get_executor(self, pure: bool):
        return self

    def subscribe_topic(self, topic: str, handler):
        pass

    def nthreads(self) -> dict[str, int]:
        return {"worker": 1}

    def submit(self, *work, key: str) -> Future:
        self.futures[key] = SimpleNamespace(status="finished")
        return self.given


def test_a_job_whose_result_never_arrives_is_given_out_again(monkeypatch: pytest.MonkeyPatch):
    client = BrokenConnection()
    cluster = executors._Cluster(client)
    ours = cluster.submit(print)
    cluster.check()
    assert not ours.done(), "it may still come"
    monkeypatch.setattr(executors, "_FETCH_SECONDS", 0.0)
    cluster.check()
    assert isinstance(ours.exception(), WorkerLostError) and client.given.cancelled()


def test_files_go_to_a_dask_cluster(photos: Path, tmp_path: Path, tiny_model_path: Path):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        words = ["encode", str(photos), "-o", str(tmp_path / "out"), "--effort", "0"]
        words += ["--scheduler", cluster.scheduler_address, "--model", str(tiny_model_path)]
        result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and result.stdout.startswith("3 done, 1 failed"), result.output
    assert len(list((tmp_path / "out").glob("*.vae"))) == 3
    forget_received()
    loader_of.cache_clear()
