"""What was measured, kept in the folder of a report: a record for each picture and codec.

So an evaluation can be stopped and continued, and one with another model measures only that model.
A record is JSON, rewritten after every point:

    format   "vaecodec points 1"
    made_by  SHA-256 of the picture file, name and version of the codec (and model)
    pixels   of the picture
    points   for each quality: "quality", "bytes", "encode_seconds", "decode_seconds", and for each
             metric its value by its name and the seconds that it took, as "NAME_seconds"

Asked for a metric that a point lacks, the codec makes its file again, and only that is measured.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from vaecodec.atomic_files import write_json
from vaecodec.errors import FormatError, VaecodecError
from vaecodec.metrics.ms_ssim import SIDE as MS_SSIM_SIDE
from vaecodec.picture.reader import MAX_PICTURE_PIXELS, is_picture_name, picture_size

FORMAT = "vaecodec points 1"

POINTS = "points"  # folder of the records in that of the report

MEASURES = {"quality", "bytes", "encode_seconds", "decode_seconds"}

Point = dict[str, float]


class MeasuredCodec(Protocol):
    """What ReferenceCodec and OwnCodec have in common."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def ladder(self) -> tuple[float, ...]: ...

    def version(self) -> str | None:
        """What makes the files."""

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """The file of an RGB image."""

    def decode(self, data: bytes) -> Image.Image:
        """The RGB image of a file."""


@dataclass(frozen=True)
class EvaluatedPicture:
    """A picture to measure with. `name`: its path in the folder; `size`: width, height."""

    path: Path
    name: str
    size: tuple[int, int]
    sha256: str


def find_pictures(folder: Path) -> tuple[list[EvaluatedPicture], list[str]]:
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
            found.append(EvaluatedPicture(path, path.relative_to(folder).as_posix(), size, digest))
    return found, faults


@dataclass(frozen=True)
class LadderJob:
    """One codec on one picture, for its ladder and `metrics`; `record`: the file that keeps it."""

    source: EvaluatedPicture
    codec: str
    metrics: tuple[str, ...]
    made_by: dict[str, str]
    record: Path


def plan_jobs(
    sources: list[EvaluatedPicture],
    codecs: Sequence[MeasuredCodec],
    metrics: tuple[str, ...],
    folder: Path,
) -> list[LadderJob]:
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
            jobs.append(LadderJob(source, codec.name, metrics, made_by, record))
    return jobs


def read_record(job: LadderJob) -> list[Point]:
    """The points that a job's record holds, none where there is none yet. Raises FormatError."""
    try:
        record = json.loads(job.record.read_text("utf-8"))
        if record["format"] != FORMAT or record["made_by"] != job.made_by:
            raise ValueError
        for point in record["points"]:
            if not MEASURES <= set(point) or not all(map(_is_measure, point.values())):
                raise ValueError
        result: list[Point] = record["points"]
        return result
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(f"{job.record}: damaged, or not a record of these points") from None


def seconds_key(metric: str) -> str:
    """Where a point keeps how long a metric took."""
    return f"{metric}_seconds"


def missing_metrics(job: LadderJob, point: Point) -> list[str]:
    """The metrics of the job that a point does not hold."""
    return [m for m in job.metrics if not {m, seconds_key(m)} <= set(point)]


def _is_measure(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def missing_qualities(
    job: LadderJob, ladder: tuple[float, ...], points: list[Point]
) -> list[float]:
    """The qualities of the ladder that `points` do not hold with all of the job's metrics."""
    complete = {p["quality"] for p in points if not missing_metrics(job, p)}
    return [quality for quality in ladder if quality not in complete]


def write_record(job: LadderJob, points: list[Point]) -> None:
    width, height = job.source.size
    record = {
        "format": FORMAT,
        "made_by": job.made_by,
        "pixels": width * height,
        "points": sorted(points, key=lambda point: point["quality"]),
    }
    write_json(job.record, record)
