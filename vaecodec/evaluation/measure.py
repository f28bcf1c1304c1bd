"""Codecs measured on pictures: every quality of a ladder, real files, their bytes, quality, times.

What was measured is kept in the folder of the report, a record for each picture and codec, so that
an evaluation can be stopped and continued, and one with another model measures only that model.
A record is JSON, rewritten after every point:

    format   "vaecodec points 1"
    made_by  SHA-256 of the picture file, name and version of the codec (and model)
    pixels   of the picture
    points   for each quality: "quality", "bytes", "encode_seconds", "decode_seconds", the metrics
"""

import hashlib
import json
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from vaecodec.version import __version__
from vaecodec.training.dataset import MAX_PICTURE_PIXELS, read_rgb
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.errors import FormatError, VaecodecError
from vaecodec.atomic_files import write_json
from vaecodec.metrics.distortion import MS_SSIM_SIDE, ms_ssim, psnr_db
from vaecodec.evaluation.reference_codecs import PEERS
from vaecodec.picture.picture import Picture
from vaecodec.picture.reader import is_picture_name, picture_size
from vaecodec.codec.quality import level_of_quality
from vaecodec.network.weights import default_weights_path, load_weights

FORMAT = "vaecodec points 1"
POINTS = "points"  # folder of the records in that of the report
MEASURES = {"quality", "bytes", "encode_seconds", "decode_seconds"}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Point = dict[str, float]


@dataclass(frozen=True)
class Metric:
    """A measure of quality between two uint8 pictures. `to_db`: to decibels, which curves use."""

    title: str
    measure: Callable[[np.ndarray, np.ndarray], float]
    to_db: Callable[[np.ndarray], np.ndarray]


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return min(psnr_db(a, b), 100.0)  # identical pictures are infinitely good, which has no mean


def _ms_ssim_db(value: np.ndarray) -> np.ndarray:
    return -10 * np.log10(np.maximum(1 - np.asarray(value), 1e-10))


METRICS = {
    "psnr": Metric("PSNR", _psnr, np.asarray),
    "ms-ssim": Metric("MS-SSIM", ms_ssim, _ms_ssim_db),
}


class Codec(Protocol):
    """What peers.Peer and OwnCodec have in common."""

    name: str
    title: str
    ladder: tuple[float, ...]

    def version(self) -> str | None:
        """What makes the files."""

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """The file of an RGB image."""

    def decode(self, data: bytes) -> Image.Image:
        """The RGB image of a file."""


class OwnCodec:
    """vaecodec with a model, as the other codecs; on one thread, the model loaded at first use."""

    name, title = "vaecodec", "vaecodec"
    ladder = tuple(float(quality) for quality in range(0, 101, 10))

    def __init__(self, model_path: Path | None):
        self.path = model_path or default_weights_path()

    def version(self) -> str:
        model_id = load_weights(self.path).model_id.hex()
        return f"vaecodec {__version__}, effort {DEFAULT_EFFORT}, model {model_id}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        from vaecodec.codec.decoder import EncodeOptions, encode_picture

        options = EncodeOptions(level_of_quality(quality))
        return encode_picture(Picture(np.asarray(image)), self._model, options)

    def decode(self, data: bytes) -> Image.Image:
        from vaecodec.codec.decoder import decode_picture

        return Image.fromarray(decode_picture(data, self._model).pixels)

    @cached_property
    def _model(self):
        from vaecodec.inference.model import load_model

        model = load_model(self.path, "cpu")
        model.transforms.start_worker()
        return model


@dataclass(frozen=True)
class Source:
    """A picture to measure with. `name`: its path in the folder; `size`: width, height."""

    path: Path
    name: str
    size: tuple[int, int]
    sha256: str


def find_pictures(folder: Path) -> tuple[list[Source], list[str]]:
    """The pictures under `folder`, by name, and why others cannot be used."""
    found, faults = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and is_picture_name(p)):
        try:
            size = picture_size(path, MAX_PICTURE_PIXELS)
            if min(size) < MS_SSIM_SIDE:
                raise VaecodecError(f"{path}: smaller than {MS_SSIM_SIDE} pixels a side; left out")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except VaecodecError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"{path}: cannot read: {error.strerror}")
        else:
            found.append(Source(path, path.relative_to(folder).as_posix(), size, digest))
    return found, faults


@dataclass(frozen=True)
class Job:
    """One codec on one picture, for its ladder and `metrics`; `record`: the file that keeps it."""

    source: Source
    codec: str
    metrics: tuple[str, ...]
    made_by: dict[str, str]
    record: Path


def plan_jobs(
    sources: list[Source], codecs: list[Codec], metrics: tuple[str, ...], folder: Path
) -> list[Job]:
    """A job for each picture and codec; records go to `folder`/points."""
    versions = {codec.name: str(codec.version()) for codec in codecs}
    jobs = []
    for source in sources:
        for codec in codecs:
            made_by = {
                "picture": source.sha256,
                "codec": codec.title,
                "version": versions[codec.name],
            }
            key = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:20]
            record = folder / POINTS / f"{codec.name}-{key}.json"
            jobs.append(Job(source, codec.name, metrics, made_by, record))
    return jobs


def read_record(job: Job) -> list[Point]:
    """The points that a job's record holds, none where there is none yet. Raises FormatError."""
    try:
        record = json.loads(job.record.read_text("utf-8"))
        if record["format"] != FORMAT or record["made_by"] != job.made_by:
            raise ValueError
        for point in record["points"]:
            if not MEASURES <= set(point) or not all(map(_is_measure, point.values())):
                raise ValueError
        return record["points"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(f"{job.record}: damaged, or not a record of these points") from None


def _is_measure(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def missing_qualities(job: Job, ladder: tuple[float, ...], points: list[Point]) -> list[float]:
    """The qualities of the ladder that `points` do not hold with all of the job's metrics."""
    complete = {p["quality"] for p in points if all(metric in p for metric in job.metrics)}
    return [quality for quality in ladder if quality not in complete]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `fault` None where its record is complete."""

    job: Job
    fault: str | None = None


def measure(jobs: list[Job], codecs: list[Codec], workers: int) -> Iterator[Outcome]:
    """Do what is missing of the jobs, several at a time, each on one thread.

    Closing the iterator stops within a point. Raises VaecodecError where a worker dies. For the
    main thread only, as it changes what signals do.
    """
    context = multiprocessing.get_context("spawn")  # forking would copy torch's threads
    stop = context.Event()
    own = next(codec for codec in codecs if isinstance(codec, OwnCodec))
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, context, _start_worker, (own.path, stop)) as pool,
    ):
        try:
            with _interrupts_ignored():  # by the workers that this starts; stopping them is ours
                running = {pool.submit(_work, job) for job in jobs}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise VaecodecError(
                "a worker ended unexpectedly, perhaps for lack of memory; continue with the same"
                " command and --jobs 1"
            ) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Libraries in processes started meanwhile compute on one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


_codecs: dict[str, Codec] = {}  # of a worker process, ready to be timed
_stop: Any = None


def _start_worker(model_path: Path, stop: Any) -> None:
    global _stop
    _codecs.update({**PEERS, OwnCodec.name: OwnCodec(model_path)})
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(job: Job) -> Outcome:
    codec = _codecs[job.codec]
    try:
        points = read_record(job)
    except FormatError:
        points = []
    try:
        missing = missing_qualities(job, codec.ladder, points)
        if missing:
            points = [p for p in points if p["quality"] not in missing]
            pixels = read_rgb(job.source.path)
            codec.decode(codec.encode(Image.new("RGB", (64, 64)), codec.ladder[0]))  # warms up
        for quality in missing:
            if _stop.is_set():
                return Outcome(job, "stopped")
            points.append(_point(codec, pixels, quality, job.metrics))
            _write_record(job, points)
    except MemoryError:
        return Outcome(job, f"{job.source.path}: not enough memory for {codec.title}")
    except VaecodecError as error:
        return Outcome(job, f"{job.source.path}: {error}")
    return Outcome(job)


def _point(codec: Codec, pixels: np.ndarray, quality: float, metrics: tuple[str, ...]) -> Point:
    image = Image.fromarray(pixels)
    started = time.perf_counter()
    data = codec.encode(image, quality)
    encoded = time.perf_counter()
    decoded = np.asarray(codec.decode(data))
    seconds = encoded - started, time.perf_counter() - encoded
    point = {"quality": quality, "bytes": len(data)}
    point |= {"encode_seconds": round(seconds[0], 6), "decode_seconds": round(seconds[1], 6)}
    return point | {name: METRICS[name].measure(pixels, decoded) for name in metrics}


def _write_record(job: Job, points: list[Point]) -> None:
    width, height = job.source.size
    record = {
        "format": FORMAT,
        "made_by": job.made_by,
        "pixels": width * height,
        "points": sorted(points, key=lambda point: point["quality"]),
    }
    write_json(job.record, record)
