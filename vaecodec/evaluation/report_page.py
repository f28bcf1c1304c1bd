"""The page of a report: one file with everything in it, for light and dark, wide and narrow."""

import base64
import io
from collections.abc import Iterable
from html import escape

import numpy as np
from PIL import Image

from vaecodec.evaluation.records import EvaluatedPicture
from vaecodec.evaluation.results import Comparison, EvaluationReport, Measured
from vaecodec.metrics.distortion import METRICS
from vaecodec.picture.reader import read_rgb

THUMBNAIL = 120  # pixels, the longer side

_STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --soft: #57606a; --line: #d0d7de; --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #d0d7de; --soft: #8b949e; --line: #373e47; --paper: #0d1117 }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem }
p, figcaption, summary { color: var(--soft) } summary { cursor: pointer }
figure { margin: 0 } figure img { width: 100%; height: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
td small { color: var(--soft) }
td img { vertical-align: middle; margin-right: .5rem; max-height: 4rem; width: auto }
"""


def render(report: EvaluationReport, plots: dict[tuple[str, str], bytes]) -> str:
    """The page. `plots`: SVGs by metric and theme (light, dark)."""
    parts = [f"<h1>{escape(report.name)}: vaecodec and other codecs</h1>", _facts(report)]
    parts += [_figure(metric, plots) for metric in report.metrics]
    parts += [_rates(report), _published(report), _curves(report), _times(report)]
    parts += [_pictures(report)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.name)}: vaecodec and other codecs</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _facts(report: EvaluationReport) -> str:
    megapixels = sum(s.size[0] * s.size[1] for s in report.sources) / 1e6
    return (
        f"<p>{len(report.sources)} pictures, {megapixels:.1f} megapixels;"
        f" {escape(report.own.version)}. Sizes are those of whole files, quality is that of the"
        " 8-bit RGB picture decoded from them. A point of a curve is the mean of bits per pixel and"
        " the mean of the metric over all pictures at one quality setting.</p>"
    )


def _figure(metric: str, plots: dict[tuple[str, str], bytes]) -> str:
    light, dark = (_data_uri("svg+xml", plots[metric, theme]) for theme in ("light", "dark"))
    title = METRICS[metric].title
    return (
        f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{title} over bits per pixel of all codecs"></picture></figure>'
    )


def _rates(report: EvaluationReport) -> str:
    header = ["against"]
    for metric in report.metrics:
        title = METRICS[metric].title
        header += [title, f"{title}, mean of pictures"]
    rows = []
    for other in report.others:
        row = [escape(other.title)]
        for metric in report.metrics:
            c = report.comparisons[other.name, metric]
            row += [_rate(c.of_means, c.interval), _rate(c.mean_of_each, c.each_interval)]
        rows.append(row)
    return (
        "<h2>Size at equal quality (BD-rate)</h2>"
        "<p>How much larger (+) or smaller (-) vaecodec's files are at equal quality: of the"
        " curves above, and as the mean of the BD-rates of single pictures. In brackets, where"
        " 95&nbsp;% of 1000 bootstrap samples of the pictures lie.</p>" + _table(header, rows)
    )


def _rate(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "no common range"
    spread = (
        "" if interval is None else f" <small>({interval[0]:+.1f} to {interval[1]:+.1f})</small>"
    )
    return f"{value:+.1f} %{spread}"


def _published(report: EvaluationReport) -> str:
    if report.published is None or not report.published_rates:
        return ""
    rows = [[escape(codec), _rate(rate)] for codec, rate in report.published_rates.items()]
    return (
        "<h2>Against published points</h2>"
        f"<p>Not measured here. {escape(report.published.source)}</p>"
        + _table(["against, as published", "PSNR"], rows)
    )


def _curves(report: EvaluationReport) -> str:
    parts = ["<h2>Points of the curves</h2>"]
    for m in (report.own, *report.others):
        header = ["quality", "bits per pixel", *(METRICS[name].title for name in report.metrics)]
        means = [m.qualities, m.bpp.mean(1), *(m.metrics[n].mean(1) for n in report.metrics)]
        formats = ["{:g}", "{:.3f}", *(_format(name) for name in report.metrics)]
        rows = [
            [f.format(v) for f, v in zip(formats, values, strict=True)]
            for values in zip(*means, strict=True)
        ]
        state = " open" if m is report.own else ""
        parts.append(
            f"<details{state}><summary>{escape(m.title)}</summary>{_table(header, rows)}</details>"
        )
    return "\n".join(parts)


def _format(metric: str) -> str:
    return f"{{:.{METRICS[metric].digits}f}}"


def _times(report: EvaluationReport) -> str:
    header = ["codec", "encode", "decode", "version"]
    rows = [_time_row(m) for m in (report.own, *report.others)]
    return (
        "<h2>Time</h2><p>Seconds per megapixel on one thread, median over pictures and qualities,"
        f" {report.workers} at a time on this machine ({escape(report.machine)}).</p>"
        + _table(header, rows)
    )


def _time_row(m: Measured) -> list[str]:
    seconds = [f"{np.median(times):.3f} s" for times in (m.encode, m.decode)]
    return [escape(m.title), *seconds, escape(m.version)]


def _pictures(report: EvaluationReport) -> str:
    header = ["picture", *(escape(other.title) for other in report.others)]
    metric = report.metrics[0]
    rows = []
    for i, source in enumerate(report.sources):
        image = f'<img src="{_thumbnail(source)}" alt="" loading="lazy">'
        comparisons: Iterable[Comparison] = (
            report.comparisons[other.name, metric] for other in report.others
        )
        rows.append([image + escape(source.name), *(_rate(c.each[i]) for c in comparisons)])
    return (
        f"<h2>Each picture</h2><p>BD-rate by {METRICS[metric].title} against each codec.</p>"
        + _table(header, rows)
    )


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _thumbnail(source: EvaluatedPicture) -> str:
    image = Image.fromarray(read_rgb(source.path))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return _data_uri("jpeg", buffer.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
