"""The figures of README.md and models/README.md, made again after a change of model or codec.

    python scripts/readme_figures.py KODAK VALIDATION [--reports FOLDER]

Runs `vaecodec eval` on both folders, copies the plot of Kodak into docs/ and replaces the tables
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
EVALUATIONS = {  # by the folder's part in the tables
    "Kodak": ["--published", "kodak"],
    "validation": ["--codecs", "jpeg,webp,avif", "--metrics", "psnr"],
}
QUALITIES = (0, 20, 40, 60, 80, 100)


def evaluate(folder: Path, report: Path, words: list[str]) -> dict:
    command = [sys.executable, "-m", "vaecodec", "eval", str(folder), "-o", str(report), *words]
    subprocess.run(command, check=True)
    return json.loads((report / "report.json").read_text())


def rates(reports: dict[str, dict]) -> str:
    """BD-rate against each codec: PSNR on both sets, MS-SSIM on Kodak."""
    kodak, validation = (_rates_of(reports[name]) for name in ("Kodak", "validation"))
    rows = ["| against | Kodak | MS-SSIM on Kodak | validation |", "| --- | ---: | ---: | ---: |"]
    for name, codec in reports["Kodak"]["codecs"].items():
        if name != "vaecodec":
            cells = [kodak[name, "psnr"], kodak[name, "ms-ssim"]]
            cells += [validation.get((name, "psnr"), "")]
            rows.append(f"| {codec['title']} | {' | '.join(cells)} |")
    for codec, found in reports["Kodak"]["published"].items():
        rows.append(f"| {codec}, as published | {_percent(found['bd_rate_percent'])} | | |")
    return "\n".join(rows)


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
    curve = _curve(reports["Kodak"])
    bpp, psnr = (" | ".join(f"{curve[q][i]:.{2 - i}f}" for q in QUALITIES) for i in (0, 1))
    return "\n".join(
        [
            f"| quality | {' | '.join(map(str, QUALITIES))} |",
            f"| --- |{' ---: |' * len(QUALITIES)}",
            f"| bits per pixel (Kodak) | {bpp} |",
            f"| PSNR in dB | {psnr} |",
        ]
    )


def full_curve(reports: dict[str, dict]) -> str:
    curves = [_curve(reports[name]) for name in EVALUATIONS]
    rows = ["| quality | Kodak bpp | PSNR dB | validation bpp | PSNR dB |", f"|{' ---: |' * 5}"]
    for quality in QUALITIES:
        points = (f"{bpp:.3f} | {psnr:.2f}" for bpp, psnr in (c[quality] for c in curves))
        rows.append(f"| {quality} | {' | '.join(points)} |")
    return "\n".join(rows)


def _curve(report: dict) -> dict[int, tuple[float, float]]:
    curve = report["codecs"]["vaecodec"]["mean_curve"]
    points = zip(curve["quality"], curve["bpp"], curve["psnr"], strict=True)
    return {round(quality): (bpp, psnr) for quality, bpp, psnr in points}


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
    made = {
        name: evaluate(folders[name], reports / name.lower(), words)
        for name, words in EVALUATIONS.items()
    }
    for suffix in ("", "-dark"):
        target = ROOT / "docs" / f"kodak-psnr{suffix}.svg"
        shutil.copy(reports / "kodak" / f"psnr{suffix}.svg", target)
    replace_block(ROOT / "README.md", "BD-rate", rates(made))
    replace_block(ROOT / "README.md", "curve", short_curve(made))
    replace_block(ROOT / "models" / "README.md", "curve", full_curve(made))


if __name__ == "__main__":
    main()
