"""The page of a report: one file with everything in it, for light and dark, wide and narrow."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from vaecodec.evaluation.pages import data_uri, render_page
from vaecodec.evaluation.records import EvaluatedPicture
from vaecodec.evaluation.results import EvaluationReport, Measured
from vaecodec.metrics.distortion import METRICS
from vaecodec.picture.reader import read_rgb

THUMBNAIL = 120  # pixels, the longer side
TYPICAL_QUALITY = 60  # of vaecodec, of which each picture's figures are told

Table = dict[str, Any]


def render(
    report: EvaluationReport,
    plots: Mapping[tuple[str, str], bytes],
    pages: Mapping[str, str],
) -> str:
    """The page. `plots`: SVGs by metric and theme (light, dark); `pages`: addresses of comparison
    pages, by the name of the picture."""
    return render_page(
        "report.html",
        name=report.name,
        facts=_facts(report),
        plots=[_plot(metric, plots) for metric in report.metrics],
        rates=_rates(report),
        published=_published(report),
        pictures=_pictures(report, pages),
        curves=[_curve(report, m) for m in (report.own, *report.others)],
        times=_times(report),
    )


def _facts(report: EvaluationReport) -> dict[str, Any]:
    spans = ", ".join(
        f"{METRICS[name].title} {' to '.join(f'{end:g}' for end in METRICS[name].span)}"
        for name in report.metrics
    )
    return {
        "pictures": len(report.sources),
        "megapixels": f"{report.own.megapixels.sum():.1f}",
        "version": report.own.version,
        "explains": "ssimulacra2" in report.metrics,
        "intervals": any(c.interval for c in report.comparisons.values()),
        "spans": spans,
    }


def _plot(metric: str, plots: Mapping[tuple[str, str], bytes]) -> dict[str, str]:
    uris = {theme: data_uri("svg+xml", plots[metric, theme]) for theme in ("light", "dark")}
    return {"title": METRICS[metric].title, **uris}


def _row(name: str, cells: list[Table], own: bool = False) -> Table:
    return {"name": name, "cells": cells, "own": own}


def _cell(text: str, more: str = "", words: bool = False) -> Table:
    return {"text": text, "more": more, "words": words}


def _rates(report: EvaluationReport) -> Table:
    rows = []
    for other in report.others:
        cells = []
        for metric in report.metrics:
            c = report.comparisons[other.name, metric]
            mean = f"mean {_rate(c.mean_of_each, c.each_interval)}"
            cells.append(_cell(_rate(c.of_means, c.interval), mean))
        rows.append(_row(other.title, cells))
    return {"header": ["against", *(METRICS[m].title for m in report.metrics)], "rows": rows}


def _rate(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "no common range"
    spread = "" if interval is None else f" ({interval[0]:+.1f} to {interval[1]:+.1f})"
    return f"{value:+.1f} %{spread}".replace("-", "\u2212")


def _published(report: EvaluationReport) -> Table | None:
    if report.published is None or not report.published_rates:
        return None
    rows = [_row(codec, [_cell(_rate(rate))]) for codec, rate in report.published_rates.items()]
    source = report.published.source
    return {"source": source, "header": ["against, as published", "PSNR"], "rows": rows}


def _pictures(report: EvaluationReport, pages: Mapping[str, str]) -> Table:
    """A row for each picture: sizes and figures at the ladder's point next to TYPICAL_QUALITY."""
    own, first = report.own, report.metrics[0]
    point = int(np.argmin(abs(own.qualities - TYPICAL_QUALITY)))
    rows = []
    for i, source in enumerate(report.sources):
        width, height = source.size
        size = round(own.bpp[point, i] * width * height / 8)
        cells = [f"{size:,}", f"{own.bpp[point, i]:.3f}"]
        cells += [METRICS[m].said(float(own.metrics[m][point, i])) for m in report.metrics]
        cells += [_rate(report.comparisons[o.name, first].each[i]) for o in report.others]
        page = pages.get(source.name, "")
        row = {"name": source.name, "pixels": f"{width} \u00d7 {height}", "page": page}
        rows.append(row | {"thumbnail": _thumbnail(source), "cells": cells})
    header = ["picture", "bytes", "bits per pixel"]
    header += [METRICS[m].title for m in report.metrics]
    header += [f"against {other.name}" for other in report.others]
    return {
        "quality": f"{own.qualities[point]:g}",
        "metric": METRICS[first].title,
        "linked": bool(pages),
        "header": header,
        "rows": rows,
    }


def _curve(report: EvaluationReport, m: Measured) -> Table:
    rows = []
    for q, quality in enumerate(m.qualities):
        figures = [METRICS[n].said(float(m.metrics[n][q].mean())) for n in report.metrics]
        rows.append(_row(f"{quality:g}", [_cell(t) for t in (f"{m.bpp[q].mean():.3f}", *figures)]))
    header = ["quality", "bits per pixel", *(METRICS[n].title for n in report.metrics)]
    return {"title": m.title, "header": header, "rows": rows}


def _times(report: EvaluationReport) -> Table:
    """What encoding, decoding and measuring takes, of a picture and of a megapixel."""
    header = ["", "encode a picture", "decode it", "encode a megapixel", "decode it", "version"]
    rows = []
    for m in (report.own, *report.others):
        times = [_seconds(t * m.megapixels) for t in (m.encode, m.decode)]
        times += [_seconds(t) for t in (m.encode, m.decode)]
        cells = [*(_cell(text) for text in times), _cell(m.version, words=True)]
        rows.append(_row(m.title, cells, own=m is report.own))
    for name in report.metrics:
        took = np.concatenate([m.measuring[name] for m in (report.own, *report.others)])
        texts = ("", _seconds(took * report.own.megapixels), "", _seconds(took))
        rows.append(_row(f"measuring {METRICS[name].title}", [_cell(t) for t in (*texts, "")]))
    return {"header": header, "rows": rows, "workers": report.workers, "machine": report.machine}


def _seconds(times: np.ndarray) -> str:
    return f"{np.median(times):.3f} s"


def _thumbnail(source: EvaluatedPicture) -> str:
    image = Image.fromarray(read_rgb(source.path))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return data_uri("jpeg", buffer.getvalue())
