"""The figures of README.md and models/README.md, made again after a change of model or codec.

    python scripts/make_readme_figures.py KODAK VALIDATION [--reports FOLDER]

Runs `vaecodec eval` on both folders, copies the plots of Kodak into docs/ and replaces the tables
that stand between `<!-- figures: NAME -->` and `<!-- end of figures -->`. The reports stay in
FOLDER: what they hold is not measured again, so that a new model costs only its own time.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
EVALUATIONS = {"Kodak": ["--published", "kodak"], "validation": []}  # by part of the tables
METRICS = {"ssimulacra2": "SSIMULACRA 2", "ms-ssim": "MS-SSIM", "psnr": "PSNR"}


def evaluate(folder: Path, report: Path, words: list[str]) -> dict:
    command = [sys.executable, "-m", "vaecodec", "eval", str(folder), "-o", str(report), *words]
    subprocess.run(command, check=True)
    return json.loads((report / "report.json").read_text())


def rates(reports: dict[str, dict]) -> str:
    """BD-rate against each codec by all metrics on both sets."""
    found = {name: _rates_of(report) for name, report in reports.items()}
    columns = [(metric, name) for metric in METRICS for name in reports]
    heads = [f"{METRICS[metric]}, {name}" for metric, name in columns]
    rows = [f"| against | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(columns)}"]
    for codec, about in reports["Kodak"]["codecs"].items():
        if codec != "vaecodec":
            cells = [found[name].get((codec, metric), "") for metric, name in columns]
            rows.append(f"| {about['title']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def rates_by_psnr(report: dict) -> str:
    """BD-rate of the model that was trained for PSNR."""
    found = _rates_of(report)
    rows = ["| `--tune psnr` against | PSNR, Kodak |", "| --- | ---: |"]
    for codec, about in report["codecs"].items():
        if codec != "vaecodec":
            rows.append(f"| {about['title']} | {found[codec, 'psnr']} |")
    return "\n".join(rows)


def published(report: dict) -> str:
    """BD-rate by PSNR on Kodak against what others published."""
    rows = ["| `--tune psnr` against, as published | PSNR, Kodak |", "| --- | ---: |"]
    for codec, about in report["published"].items():
        rows.append(f"| {codec} | {_percent(about['bd_rate_percent'])} |")
    return "\n".join(rows)


def pictures(reports: dict[str, dict]) -> str:
    """On how many pictures this was measured, and the mean of the rates of single ones."""
    counts = " and ".join(f"{len(r['pictures'])} of {name}" for name, r in reports.items())
    rates = [
        f"{codec['title']} {_percent(rate['mean_of_each'])}"
        for rate in reports["Kodak"]["bd_rate_percent"]
        if rate["metric"] == "ssimulacra2"
        for codec in [reports["Kodak"]["codecs"][rate["against"]]]
    ]
    return (
        f"Measured on {counts}. The mean of the BD-rates of Kodak's single pictures, by"
        f" SSIMULACRA 2: {'; '.join(rates)}."
    )


def _rates_of(report: dict) -> dict[tuple[str, str], str]:
    return {
        (rate["against"], rate["metric"]): f"{_percent(rate['of_means'])}{_interval(rate)}"
        for rate in report["bd_rate_percent"]
    }


def _percent(value: float | None) -> str:
    return "no common range" if value is None else f"{value:+.1f} %"


def _interval(rate: dict) -> str:
    low, high = rate["interval"] or (None, None)
    return "" if low is None else f" ({low:+.1f} to {high:+.1f})"


def short_curve(reports: dict[str, dict]) -> str:
    points = _curve(reports["Kodak"])
    rows = {"bits per pixel (Kodak)": ("bpp", 2), "SSIMULACRA 2": ("ssimulacra2", 1)}
    rows["PSNR in dB"] = ("psnr", 1)
    heads = (f"{point['quality']:.0f}" for point in points)
    lines = [f"| quality | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(points)}"]
    for title, (key, digits) in rows.items():
        cells = (f"{point[key]:.{digits}f}" for point in points)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def full_curve(reports: dict[str, dict]) -> str:
    curves = [_curve(report) for report in reports.values()]
    heads = (f"{name} bpp | SSIMULACRA 2 | PSNR dB" for name in reports)
    rows = [f"| quality | {' | '.join(heads)} |", f"|{' ---: |' * (1 + 3 * len(curves))}"]
    for points in zip(*curves, strict=True):
        cells = (f"{p['bpp']:.3f} | {p['ssimulacra2']:.1f} | {p['psnr']:.2f}" for p in points)
        rows.append(f"| {points[0]['quality']:.1f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _curve(report: dict) -> list[dict[str, float]]:
    """Means of vaecodec's points, every second one of its ladder."""
    curve = report["codecs"]["vaecodec"]["mean_curve"]
    return [
        {name: values[place] for name, values in curve.items()}
        for place in range(0, len(curve["quality"]), 2)
    ]


def replace_block(path: Path, name: str, text: str) -> None:
    block = re.compile(rf"(<!-- figures: {name} -->\n).*?(\n<!-- end of figures -->)", re.DOTALL)
    page, count = block.subn(lambda found: found[1] + text + found[2], path.read_text())
    if count != 1:
        sys.exit(f"{path}: {count} blocks of the name {name}, not one")
    path.write_text(page)


@click.command()
@click.argument("kodak", type=Path)
@click.argument("validation", type=Path)
@click.option("--reports", type=Path, default=Path("reports"), show_default=True)
def main(kodak: Path, validation: Path, reports: Path) -> None:
    """Evaluate, then rewrite plot and tables."""
    folders = {"Kodak": kodak, "validation": validation}
    # The default model comes last, so that the plots that stay are its.
    tuned = evaluate(kodak, reports / "kodak", ["--published", "kodak", "--model", "psnr"])
    made = {
        name: evaluate(folders[name], reports / name.lower(), words)
        for name, words in EVALUATIONS.items()
    }
    for metric in ("ssimulacra2", "psnr"):
        for suffix in ("", "-dark"):
            plot = reports / "kodak" / f"{metric}{suffix}.svg"
            shutil.copy(plot, ROOT / "docs" / f"kodak-{metric}{suffix}.svg")
    replace_block(ROOT / "README.md", "BD-rate", rates(made))
    replace_block(ROOT / "README.md", "--tune psnr", rates_by_psnr(tuned))
    replace_block(ROOT / "README.md", "published", published(tuned))
    replace_block(ROOT / "README.md", "pictures", pictures(made))
    replace_block(ROOT / "README.md", "curve", short_curve(made))
    replace_block(ROOT / "models" / "README.md", "curve", full_curve(made))


if __name__ == "__main__":
    main()
