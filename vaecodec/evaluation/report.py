"""The report of an evaluation: figures from its records, written as JSON, CSV, SVG and HTML."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vaecodec.atomic_files import write_json, write_text, write_whole
from vaecodec.errors import UsageError
from vaecodec.evaluation.rd_plot import draw_rd_curves
from vaecodec.evaluation.records import POINTS
from vaecodec.evaluation.results import EvaluationReport, Measured
from vaecodec.metrics.distortion import METRICS

FORMAT = "vaecodec report 1"
INDEX = "report.json"  # tells a folder of ours from any other


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
                " damaged); name another"
            ) from None
    elif folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder")
    try:
        (folder / POINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot create: {error.strerror}") from None
    if not index.exists():
        write_json(index, {"format": FORMAT, "complete": False})


def write_report(report: EvaluationReport, folder: Path, pages: Mapping[str, str]) -> Path:
    """Write all files of a report into its folder; returns the page to open. `pages`: addresses of
    comparison pages, by the name of the picture."""
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
    write_text(folder / "report.html", render(report, plots, pages))
    write_json(folder / INDEX, summary(report))
    return folder / "report.html"


def summary(report: EvaluationReport) -> dict[str, Any]:
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
        "median_metric_seconds_per_megapixel": {
            name: float(np.median(seconds)) for name, seconds in m.measuring.items()
        },
    }


def _csv(report: EvaluationReport) -> str:
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


def _plot(report: EvaluationReport, metric: str, theme: str) -> bytes:
    others = {m.title: m.mean_curve(metric) for m in report.others}
    published = report.published.curves if report.published and metric == "psnr" else {}
    label = METRICS[metric].axis
    return draw_rd_curves(report.own.mean_curve(metric), others, published, label, theme)
