"""Rate-distortion plots as SVG, for light and for dark pages (needs the extra `eval`)."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = {"light": "#24292f", "dark": "#d0d7de"}
_OWN = {"light": "#d1242f", "dark": "#ff7b72"}
# Okabe and Ito's colours that can be told apart by everyone, without the two hardest to see.
_MEASURED = ("#0072b2", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#8c6bb1", "#7f7f7f")
_PUBLISHED = (
    "#7f7f7f",
    "#a6761d",
    "#5e9c9c",
    "#9a7fb0",
    "#b07f7f",
    "#7f9a5e",
    "#7f8fb0",
    "#b0a07f",
)
_MARKERS = "svDP^<>X"


def draw_rd_curves(
    own: np.ndarray,
    measured: dict[str, np.ndarray],
    published: dict[str, np.ndarray],
    quality: str,
    theme: str,
) -> bytes:
    """An SVG of curves of points (bpp, decibels) `[N, 2]`, by title; `own` in front.

    `quality`: the label of that axis; `theme`: light or dark. The view is that of `own`, with room.
    """
    import matplotlib
    from matplotlib.figure import Figure

    ink = _INK[theme]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vaecodec"}):
        rows = (len(measured) + len(published) + 2) // 2
        figure = Figure(figsize=(6.4, 4.2 + 0.17 * rows), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        style: dict[str, Any] = {
            "color": _OWN[theme],
            "marker": "o",
            "markersize": 4.5,
            "lw": 2.2,
            "zorder": 5,
        }
        axes.plot(*own.T, label="vaecodec", **style)
        for i, (title, curve) in enumerate(measured.items()):
            style = {"color": _pick(_MEASURED, i), "marker": _pick(_MARKERS, i), "markersize": 3.5}
            axes.plot(*curve.T, label=title, lw=1.3, **style)
        for i, (title, curve) in enumerate(published.items()):
            style = {"color": _pick(_PUBLISHED, i), "marker": ".", "markersize": 4}
            axes.plot(*curve.T, label=f"{title}, published", ls=(0, (4, 2)), lw=1, **style)
        _set_view(axes, own)
        axes.set_xlabel("bits per pixel", color=ink)
        axes.set_ylabel(quality, color=ink)
        axes.tick_params(colors=ink)
        axes.grid(color=ink, alpha=0.15)
        for spine in axes.spines.values():
            spine.set_color(ink)
            spine.set_alpha(0.4)
        figure.legend(
            fontsize=8, frameon=False, loc="outside lower center", ncols=2, labelcolor=ink
        )
        return _svg(figure)


def _pick(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _set_view(axes: "Axes", own: np.ndarray) -> None:
    low, high = own.min(0), own.max(0)
    margin = 0.08 * (high - low)
    axes.set_xlim(0, high[0] + margin[0])
    axes.set_ylim(low[1] - 3 * margin[1], high[1] + margin[1])


def _svg(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
