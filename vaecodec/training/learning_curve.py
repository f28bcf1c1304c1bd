"""The picture of a training run: validation over hours (needs the extra `eval`)."""

import csv
from pathlib import Path


def draw_learning_curve(records: Path, picture: Path) -> bool:
    """Draw `records` (CSV with hours and log_j) to a PNG; False where matplotlib is not
    installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with records.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([float(r["hours"]) for r in rows], [float(r["log_j"]) for r in rows], marker=".")
    axes.set_xlabel("hours")
    axes.set_ylabel("validation: mean log(bpp + lambda D)")
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)
    return True
