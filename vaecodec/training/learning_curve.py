"""The record of a training run: its validations as a table and as a picture."""

import csv
from collections.abc import Mapping
from pathlib import Path

from vaecodec.errors import VaecodecError

TITLE = "log J = log(bits per pixel + lambda * distortion)"


def record(run: Path, row: Mapping[str, str]) -> None:
    """Append a validation to validation.csv of a run folder, in the columns that it has, and draw
    it. Raises VaecodecError where that cannot be written."""
    path = run / "validation.csv"
    try:
        with path.open("a+", newline="") as file:
            file.seek(0)
            columns = next(csv.reader(file), None)
            writer = csv.DictWriter(file, columns or list(row), extrasaction="ignore")
            if columns is None:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise VaecodecError(f"{path}: cannot write: {error.strerror or error}") from None
    draw_learning_curve(run, {})


def draw_learning_curve(run: Path, references: Mapping[str, float]) -> None:
    """Draw validation.csv of a run folder as validation.png, with a line at the figure of each of
    `references`, where matplotlib is installed. Raises VaecodecError where it cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    with (run / "validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    unit, factor = ("hours", 1) if float(rows[-1]["hours"]) >= 1 else ("minutes", 60)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for column, title in (("log_j", "validation"), ("training_log_j", "training")):
        points = [(factor * float(r["hours"]), float(r[column])) for r in rows if r.get(column)]
        axes.plot(*zip(*points, strict=True) if points else ([], []), marker=".", label=title)
    for number, (title, level) in enumerate(references.items(), 2):
        axes.axhline(level, color=f"C{number}", ls="--", label=f"{title}, validation")
    axes.set_title(f"{run.stem}: {TITLE}")
    axes.set_xlabel(unit)
    axes.set_ylabel("mean log J; lower is better, 0.1 is 10 % less")
    axes.grid(alpha=0.3)
    axes.legend()
    path = run / "validation.png"
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise VaecodecError(f"{path}: cannot write: {error.strerror or error}") from None
