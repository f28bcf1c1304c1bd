"""The report of an evaluation: figures from its records, written as JSON, CSV, SVG and HTML."""

import csv
import io
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaecodec.evaluation.results import Comparison, Measured, bd_rate, compare
from vaecodec.errors import FormatError, UsageError
from vaecodec.evaluation.measure import METRICS, POINTS, Codec, Job, OwnCodec, Source, read_record
from vaecodec.atomic_files import write_json, write_text, write_whole
from vaecodec.evaluation.published import Published
from vaecodec.evaluation.rd_plot import draw_curves

FORMAT = "vaecodec report 1"
INDEX = "report.json"  # tells a folder of ours from any other


@dataclass(frozen=True)
class Report:
    """Everything that is told. `others` and `comparisons` in the order in which they were named.

    `published_rates`: BD-rate of the mean curves in percent, by codec of `published`.
    """

    name: str
    sources: list[Source]
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


def open_folder(folder: Path) -> None:
    """Make the folder of a report, or find it begun. Raises UsageError for a folder of anything
    else."""
    index = folder / INDEX
    if folder.is_dir() and any(folder.iterdir()):
        try:
            if json.loads(index.read_text("utf-8"))["format"] != FORMAT:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                f"{folder}: not empty, and not the folder of a report ({INDEX} is missing or"
                " damaged); name another with -o"
            ) from None
    elif folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder with -o")
    try:
        (folder / POINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot create: {error.strerror}") from None
    if not index.exists():
        write_json(index, {"format": FORMAT, "complete": False})


def collect(jobs: list[Job], codecs: list[Codec]) -> list[Measured]:
    """What the records of complete jobs hold, for each codec. Raises FormatError."""
    collected = []
    for codec in codecs:
        own_jobs = [job for job in jobs if job.codec == codec.name]
        megapixels = np.array([job.source.size[0] * job.source.size[1] for job in own_jobs]) / 1e6
        points = [{point["quality"]: point for point in read_record(job)} for job in own_jobs]

        def table(name: str, points=points, ladder=codec.ladder) -> np.ndarray:
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
            )
        )
    return collected


def make_report(
    name: str,
    jobs: list[Job],
    codecs: list[Codec],
    published: Published | None,
    workers: int,
) -> Report:
    """The report of complete jobs, one of the codecs being OwnCodec."""
    measured = collect(jobs, codecs)
    own = next(m for m in measured if m.name == OwnCodec.name)
    others = [m for m in measured if m is not own]
    metrics = jobs[0].metrics
    rates = {}
    if published is not None and "psnr" in metrics:
        curve = own.mean_curve("psnr")
        rates = {codec: bd_rate(points, curve) for codec, points in published.curves.items()}
    return Report(
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


def write_report(report: Report, folder: Path) -> Path:
    """Write all files of a report into its folder; returns the page to open."""
    from vaecodec.evaluation.report_page import render

    plots = {
        (metric, theme): _plot(report, metric, theme)
        for metric in report.metrics
        for theme in ("light", "dark")
    }
    for (metric, theme), svg in plots.items():
        suffix = "" if theme == "light" else "-dark"
        write_whole(folder / f"{metric}{suffix}.svg", lambda f, s=svg: f.write(s), overwrite=True)
    write_text(folder / "points.csv", _csv(report))
    write_text(folder / "report.html", render(report, plots))
    write_json(folder / INDEX, summary(report))
    return folder / "report.html"


def summary(report: Report) -> dict[str, Any]:
    """The report's figures as JSON has them."""
    return {
        "format": FORMAT,
        "complete": True,
        "name": report.name,
        "machine": report.machine,
        "workers": report.workers,
        "pictures": [
            {"name": s.name, "width": s.size[0], "height": s.size[1], "sha256": s.sha256}
            for s in report.sources
        ],
        "codecs": {m.name: _codec_summary(m) for m in (report.own, *report.others)},
        "bd_rate_percent": [vars(comparison) for comparison in report.comparisons.values()],
        "published": {
            codec: {"points": points.tolist(), "bd_rate_percent": report.published_rates.get(codec)}
            for codec, points in (report.published.curves if report.published else {}).items()
        },
    }


def _codec_summary(m: Measured) -> dict[str, Any]:
    return {
        "title": m.title,
        "version": m.version,
        "mean_curve": {
            "quality": m.qualities.tolist(),
            "bpp": m.bpp.mean(1).tolist(),
            **{name: values.mean(1).tolist() for name, values in m.metrics.items()},
        },
        "median_encode_seconds_per_megapixel": float(np.median(m.encode)),
        "median_decode_seconds_per_megapixel": float(np.median(m.decode)),
    }


def _csv(report: Report) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    header = ["picture", "codec", "quality", "bpp", *report.metrics]
    writer.writerow([*header, "encode_seconds_per_megapixel", "decode_seconds_per_megapixel"])
    for i, source in enumerate(report.sources):
        for m in (report.own, *report.others):
            for q, quality in enumerate(m.qualities):
                values = [m.bpp[q, i], *(m.metrics[name][q, i] for name in report.metrics)]
                values += [m.encode[q, i], m.decode[q, i]]
                writer.writerow([source.name, m.name, quality, *(f"{v:.6g}" for v in values)])
    return buffer.getvalue()


def _plot(report: Report, metric: str, theme: str) -> bytes:
    others = {m.title: m.mean_curve(metric) for m in report.others}
    published = report.published.curves if report.published and metric == "psnr" else {}
    label = f"{METRICS[metric].title} in dB"
    return draw_curves(report.own.mean_curve(metric), others, published, label, theme)
