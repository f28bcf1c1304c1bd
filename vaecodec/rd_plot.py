"""Rate-distortion plots as SVG, for light and for dark pages (needs the extra `eval`)."""

import io

import numpy as np

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


def draw_curves(
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
        figure = Figure(figsize=(7.2, 4.8), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        for colour, marker, (title, curve) in zip(
            _MEASURED * 9, _MARKERS * 9, measured.items(), strict=False
        ):
            axes.plot(*curve.T, color=colour, marker=marker, markersize=3.5, lw=1.3, label=title)
        for colour, (title, curve) in zip(_PUBLISHED * 9, published.items(), strict=False):
            style = {"linestyle": (0, (4, 2)), "marker": ".", "markersize": 4, "lw": 1}
            axes.plot(*curve.T, color=colour, label=f"{title}, published", **style)
        axes.plot(*own.T, color=_OWN[theme], marker="o", markersize=4.5, lw=2.2, label="vaecodec")
        _set_view(axes, own)
        axes.set_xlabel("bits per pixel", color=ink)
        axes.set_ylabel(quality, color=ink)
        axes.tick_params(colors=ink)
        axes.grid(color=ink, alpha=0.15)
        for spine in axes.spines.values():
            spine.set_color(ink)
            spine.set_alpha(0.4)
        legend = axes.legend(fontsize=8, framealpha=0, loc="lower right", labelcolor=ink)
        legend.set_zorder(0)
        return _svg(figure)


def _set_view(axes, own: np.ndarray) -> None:
    low, high = own.min(0), own.max(0)
    margin = 0.08 * (high - low)
    axes.set_xlim(0, high[0] + margin[0])
    axes.set_ylim(low[1] - 3 * margin[1], high[1] + margin[1])


def _svg(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
