"""Many files from Python, on any executor.

import vaecodec

summary = vaecodec.encode_many(["photos"], "small", recursive=True)
with concurrent.futures.ProcessPoolExecutor() as pool:
    vaecodec.encode_many("s3://bucket/photos", "s3://bucket/small", executor=pool)
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from vaecodec.arguments import FilePath, as_passphrase, as_region, kinds_to_strip
from vaecodec.batch.decoding import DecodeTask
from vaecodec.batch.encoding import EncodeTask
from vaecodec.batch.executors import given, threads
from vaecodec.batch.jobs import FileOutcome
from vaecodec.batch.manifest import Manifest
from vaecodec.batch.planning import ManyFiles, is_vae_name
from vaecodec.batch.verifying import VerifyTask
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.targets import check_choices, one_target
from vaecodec.format.container import MAX_PIXELS
from vaecodec.inference.loading import ModelReference, reference_to
from vaecodec.picture.reader import is_picture_name
from vaecodec.picture.writer import check_suffix
from vaecodec.places import place

if TYPE_CHECKING:
    from typing_extensions import Unpack

FAULTS_KEPT = 1000  # of a summary


@dataclass
class BatchSummary:
    """What became of many files: how many were done, failed and were passed over as done before,
    their bytes, and the first FAULTS_KEPT faults by the file's name."""

    done: int = 0
    failed: int = 0
    skipped: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: FileOutcome) -> None:
        """Count an outcome."""
        if outcome.fault is not None:
            self.failed += 1
            if len(self.faults) < FAULTS_KEPT:
                self.faults[str(outcome.job.source)] = str(outcome.fault)
        elif outcome.report is None:
            self.skipped += 1
        else:
            self.done += 1
            self.bytes_in += outcome.report.facts["bytes_in"]
            self.bytes_out += outcome.report.facts.get("bytes_out", 0)


class BatchParameters(TypedDict, total=False):
    """What the functions for many files have in common.

    `executor`: any of concurrent.futures or with its interface, or a function that makes one, of
    which a broken one is then replaced; None for the threads of this process. `recursive`: take
    folders with all below them; `manifest`: a .jsonl or .parquet file that records every file, of
    which those that it says are done are passed over; `model`, `device`, `backend` as of `Codec`;
    `on_outcome`: called in this thread with each FileOutcome.
    """

    executor: Executor | Callable[[], Executor] | None
    recursive: bool
    manifest: FilePath | None
    model: FilePath | None
    device: str
    backend: str
    on_outcome: Callable[[FileOutcome], object]


def encode_many(
    sources: FilePath | Iterable[FilePath],
    folder: FilePath | None = None,
    *,
    skip_existing: bool = False,
    overwrite: bool = False,
    quality: float | None = None,
    alpha_quality: float | None = None,
    target_size: float | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    target_ms_ssim: float | None = None,
    target_ssimulacra2: float | None = None,
    best_effort: bool = False,
    effort: int = DEFAULT_EFFORT,
    timeout: float = math.inf,
    lossless: bool = False,
    strip: str | Iterable[str] = (),
    passphrase: str | bytes | None = None,
    **batch: "Unpack[BatchParameters]",
) -> BatchSummary:
    """Encode files, folders and patterns into .vae files under `folder` (None: beside them); to the
    end.

    What is there is left alone, and is a fault unless `skip_existing` or `overwrite`. The other
    parameters are those of `vaecodec.encode` and of BatchParameters. Files that fail are counted;
    UsageError and ModelError are raised for what concerns them all.
    """
    target = one_target(target_size, target_bpp, target_psnr, target_ms_ssim, target_ssimulacra2)
    check_choices(quality, target, lossless, timeout)
    task = EncodeTask(
        _model(batch, is_fixed=batch.get("executor") is not None),
        target,
        as_passphrase(passphrase),
        quality,
        lossless,
        best_effort,
        effort,
        timeout,
        None,
        alpha_quality,
        tuple(kinds_to_strip(strip)),
        force=overwrite,
    )
    many = _many(sources, folder, ".vae", is_picture_name, batch, overwrite)
    return _run(many, task, batch, skip_existing)


def decode_many(
    sources: FilePath | Iterable[FilePath],
    folder: FilePath | None = None,
    *,
    to: str = "png",
    skip_existing: bool = False,
    overwrite: bool = False,
    region: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    max_pixels: int = MAX_PIXELS,
    passphrase: str | bytes | None = None,
    **batch: "Unpack[BatchParameters]",
) -> BatchSummary:
    """Decode .vae files into pictures of the format `to`; else as `encode_many` and `decode`."""
    suffix = f".{to.removeprefix('.')}"
    check_suffix(suffix)
    task = DecodeTask(
        _model(batch),
        suffix,
        as_region(region),
        scale,
        passphrase=as_passphrase(passphrase),
        force=overwrite,
        max_pixels=max_pixels,
    )
    many = _many(sources, folder, suffix, is_vae_name, batch, overwrite)
    return _run(many, task, batch, skip_existing)


def verify_many(
    sources: FilePath | Iterable[FilePath],
    *,
    quick: bool = False,
    max_pixels: int = MAX_PIXELS,
    passphrase: str | bytes | None = None,
    **batch: "Unpack[BatchParameters]",
) -> BatchSummary:
    """Check .vae files down to every symbol, or with `quick` their bytes; else as `encode_many`."""
    task = VerifyTask(_model(batch), quick, as_passphrase(passphrase), max_pixels)
    return _run(_many(sources, None, None, is_vae_name, batch, True), task, batch, False)


def _model(batch: BatchParameters, is_fixed: bool = False) -> ModelReference:
    named = batch.get("model")
    path = None if named is None else place(named)
    return reference_to(path, batch.get("device", "auto"), batch.get("backend", "auto"), is_fixed)


def _many(
    sources: FilePath | Iterable[FilePath],
    folder: FilePath | None,
    suffix: str | None,
    wanted: Callable[..., bool],
    batch: BatchParameters,
    overwrite: bool,
) -> ManyFiles:
    named = [sources] if isinstance(sources, str) or hasattr(sources, "__fspath__") else sources
    return ManyFiles(
        [place(source) for source in named],  # type: ignore[arg-type]
        None if folder is None else place(folder),
        suffix,
        wanted,
        batch.get("recursive", False),
        is_looked_up=not overwrite,
    )


def _run(
    many: ManyFiles,
    task: EncodeTask | DecodeTask | VerifyTask,
    batch: BatchParameters,
    skip_existing: bool,
) -> BatchSummary:
    executor, record = batch.get("executor"), batch.get("manifest")
    workers = task.model.workers
    shared = replace(task.model, is_shared=executor is not None or workers > 1)
    task = replace(task, model=shared, with_digest=record is not None)
    summary = BatchSummary()
    with ExitStack() as open_ones:
        manifest = None
        if record is not None:
            manifest = open_ones.enter_context(closing(Manifest(Path(record))))
        source = threads(workers) if executor is None else given(executor)
        engine = open_ones.enter_context(source)
        for outcome in engine.run(
            many.jobs(),
            task,
            lambda job: (
                (skip_existing and job.is_there is True)
                or (manifest is not None and manifest.is_done(job))
            ),
        ):
            summary.add(outcome)
            if manifest is not None and not outcome.is_skipped:
                manifest.add(outcome, None if outcome.fault is None else str(outcome.fault))
            if "on_outcome" in batch:
                batch["on_outcome"](outcome)
    return summary
