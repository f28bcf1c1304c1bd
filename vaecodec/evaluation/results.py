"""Curves of rate and quality over a set of pictures, and how much smaller one codec's files are.

A curve's point is the mean over the pictures of bits per pixel and of the metric at one quality
setting, as in published tables; the BD-rate between two such curves is what is quoted. The mean of
the BD-rates of single pictures is given beside it. Both are over the metric's span, cut to what
both codecs reach. Intervals hold 95 % of 1000 bootstrap samples of the pictures; of fewer than
FEWEST_SAMPLED pictures samples say nothing.
"""

import os
import platform
from dataclasses import dataclass

import numpy as np

from vaecodec.errors import FormatError
from vaecodec.evaluation.own_codec import OwnCodec
from vaecodec.evaluation.published import Published
from vaecodec.evaluation.records import (
    EvaluatedPicture,
    LadderJob,
    MeasuredCodec,
    Point,
    read_record,
    seconds_key,
)
from vaecodec.metrics.bd_rate import bd_rate_percent
from vaecodec.metrics.distortion import METRICS

SAMPLES = 1000
FEWEST_SAMPLED = 8  # pictures


@dataclass(frozen=True)
class Measured:
    """All points of a codec. `qualities` `[Q]`; the arrays `[Q, pictures]`.

    `metrics`: by name, in their own units; `encode`, `decode` and, by name of the metric,
    `measuring`: seconds per megapixel; `megapixels` `[pictures]`.
    """

    name: str
    title: str
    version: str
    qualities: np.ndarray
    bpp: np.ndarray
    metrics: dict[str, np.ndarray]
    encode: np.ndarray
    decode: np.ndarray
    measuring: dict[str, np.ndarray]
    megapixels: np.ndarray

    def mean_curve(self, metric: str, pictures: np.ndarray | None = None) -> np.ndarray:
        """Points (bpp, quality as curves use it) `[Q, 2]`: means over `pictures` (None: all)."""
        chosen = slice(None) if pictures is None else pictures
        quality = METRICS[metric].to_curve(self.metrics[metric][:, chosen].mean(1))
        return np.stack([self.bpp[:, chosen].mean(1), quality], axis=1)

    def curve_of(self, metric: str, picture: int) -> np.ndarray:
        """Points (bpp, quality as curves use it) `[Q, 2]` of one picture."""
        return self.mean_curve(metric, np.array([picture]))


@dataclass(frozen=True)
class Comparison:
    """BD-rates in percent of one codec against another; None where the curves do not meet.

    `interval` and `each_interval`: of `of_means` and `mean_of_each`, None for few pictures.
    """

    against: str
    metric: str
    of_means: float | None
    interval: tuple[float, float] | None
    each: list[float | None]
    mean_of_each: float | None
    each_interval: tuple[float, float] | None


def compare(anchor: Measured, test: Measured, metric: str) -> Comparison:
    """How much larger (or, negative, smaller) the files of `test` are than those of `anchor`."""
    pictures = anchor.bpp.shape[1]
    span = METRICS[metric].curve_span
    each = [
        bd_rate(anchor.curve_of(metric, i), test.curve_of(metric, i), span) for i in range(pictures)
    ]
    found = np.array([value for value in each if value is not None])
    rng = np.random.default_rng(0)
    samples, means = [], []
    for _ in range(SAMPLES if len(found) >= FEWEST_SAMPLED else 0):
        drawn = rng.integers(0, pictures, pictures)
        curves = (codec.mean_curve(metric, drawn) for codec in (anchor, test))
        samples.append(bd_rate(*curves, span))
        means.append(float(found[rng.integers(0, len(found), len(found))].mean()))
    return Comparison(
        against=anchor.name,
        metric=metric,
        of_means=bd_rate(anchor.mean_curve(metric), test.mean_curve(metric), span),
        interval=_interval([s for s in samples if s is not None]),
        each=each,
        mean_of_each=float(found.mean()) if len(found) else None,
        each_interval=_interval(means),
    )


def bd_rate(anchor: np.ndarray, test: np.ndarray, span: tuple[float, float]) -> float | None:
    """BD-rate in percent over a span of quality between curves of points (bpp, quality), None where
    they do not meet."""
    try:
        return bd_rate_percent([tuple(p) for p in anchor], [tuple(p) for p in test], span)
    except ValueError:
        return None


def _interval(values: list[float]) -> tuple[float, float] | None:
    if len(values) == 0:
        return None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that is told. `others` and `comparisons` in the order in which they were named.

    `published_rates`: BD-rate of the mean curves in percent, by codec of `published`.
    """

    name: str
    sources: list[EvaluatedPicture]
    metrics: tuple[str, ...]
    own: Measured
    others: list[Measured]
    comparisons: dict[tuple[str, str], Comparison]  # by codec and metric
    published: Published | None
    published_rates: dict[str, float | None]
    workers: int

    @property
    def machine(self) -> str:
        return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def collect(jobs: list[LadderJob], codecs: list[MeasuredCodec]) -> list[Measured]:
    """What the records of complete jobs hold, for each codec. Raises FormatError."""
    collected = []
    for codec in codecs:
        own_jobs = [job for job in jobs if job.codec == codec.name]
        megapixels = np.array([job.source.size[0] * job.source.size[1] for job in own_jobs]) / 1e6
        points = [{point["quality"]: point for point in read_record(job)} for job in own_jobs]

        def table(
            name: str,
            points: list[dict[float, Point]] = points,
            ladder: tuple[float, ...] = codec.ladder,
        ) -> np.ndarray:
            try:
                return np.array([[p[quality][name] for p in points] for quality in ladder])
            except KeyError:
                raise FormatError("a record lost points meanwhile; run the command again") from None

        collected.append(
            Measured(
                codec.name,
                codec.title,
                own_jobs[0].made_by["version"],
                np.array(codec.ladder),
                table("bytes") * 8 / megapixels / 1e6,
                {metric: table(metric) for metric in own_jobs[0].metrics},
                table("encode_seconds") / megapixels,
                table("decode_seconds") / megapixels,
                {m: table(seconds_key(m)) / megapixels for m in own_jobs[0].metrics},
                megapixels,
            )
        )
    return collected


def make_report(
    name: str,
    jobs: list[LadderJob],
    codecs: list[MeasuredCodec],
    published: Published | None,
    workers: int,
) -> EvaluationReport:
    """The report of complete jobs, one of the codecs being OwnCodec."""
    measured = collect(jobs, codecs)
    own = next(m for m in measured if m.name == OwnCodec.name)
    others = [m for m in measured if m is not own]
    metrics = jobs[0].metrics
    rates = {}
    if published is not None and "psnr" in metrics:
        curve, span = own.mean_curve("psnr"), METRICS["psnr"].curve_span
        rates = {codec: bd_rate(points, curve, span) for codec, points in published.curves.items()}
    return EvaluationReport(
        name,
        [job.source for job in jobs if job.codec == own.name],
        metrics,
        own,
        others,
        {(o.name, metric): compare(o, own, metric) for o in others for metric in metrics},
        published,
        rates,
        workers,
    )
