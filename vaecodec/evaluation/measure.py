"""Codecs measured on pictures: every quality of a ladder, real files, their bytes, quality, times."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.errors import FormatError, VaecodecError
from vaecodec.evaluation.own_codec import OwnCodec
from vaecodec.evaluation.records import (
    LadderJob,
    MeasuredCodec,
    Point,
    missing_metrics,
    missing_qualities,
    read_record,
    seconds_key,
    write_record,
)
from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS
from vaecodec.metrics.distortion import METRICS
from vaecodec.picture.reader import read_rgb
from vaecodec.signals import handled

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class LadderOutcome:
    """What became of a job: `fault` None where its record is complete."""

    job: LadderJob
    fault: str | None = None


def measure(
    jobs: list[LadderJob], codecs: list[MeasuredCodec], workers: int
) -> Iterator[LadderOutcome]:
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
            with handled(
                signal.SIG_IGN, signal.SIGINT
            ):  # by the workers that this starts; stopping them is ours
                running = {pool.submit(_work, job) for job in jobs}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise VaecodecError(
                "a worker ended unexpectedly, perhaps for lack of memory; continue in the same way"
                " with a single job"
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


_codecs: dict[str, MeasuredCodec] = {}  # of a worker process, ready to be timed
_stop: Any = None


def _start_worker(model_path: Path, stop: Any) -> None:
    global _stop
    _codecs.update({**REFERENCE_CODECS, OwnCodec.name: OwnCodec(model_path)})
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(job: LadderJob) -> LadderOutcome:
    codec = _codecs[job.codec]
    try:
        points = {point["quality"]: point for point in read_record(job)}
    except FormatError:
        points = {}
    try:
        missing = missing_qualities(job, codec.ladder, list(points.values()))
        if missing:
            pixels = read_rgb(job.source.path)
            codec.decode(codec.encode(Image.new("RGB", (64, 64)), codec.ladder[0]))  # warms up
        for quality in missing:
            if _stop.is_set():
                return LadderOutcome(job, "stopped")
            points[quality] = _point(job, pixels, quality, points.get(quality, {}))
            write_record(job, list(points.values()))
    except MemoryError:
        return LadderOutcome(job, f"{job.source.path}: not enough memory for {codec.title}")
    except VaecodecError as error:
        return LadderOutcome(job, f"{job.source.path}: {error}")
    return LadderOutcome(job)


def _point(job: LadderJob, pixels: np.ndarray, quality: float, known: Point) -> Point:
    """What is `known` of a point already, and what it lacks of the job's metrics."""
    codec, image = _codecs[job.codec], Image.fromarray(pixels)
    started = time.perf_counter()
    data = codec.encode(image, quality)
    encoded = time.perf_counter()
    decoded = np.asarray(codec.decode(data))
    point = {
        "quality": quality,
        "bytes": len(data),
        "encode_seconds": round(encoded - started, 6),
        "decode_seconds": round(time.perf_counter() - encoded, 6),
    }
    if known.get("bytes") == len(data):
        point = known
    for metric in missing_metrics(job, point):
        started = time.perf_counter()
        value = METRICS[metric].measure(pixels, decoded)
        seconds = time.perf_counter() - started
        point = point | {metric: value, seconds_key(metric): round(seconds, 6)}
    return point
