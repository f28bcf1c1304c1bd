"""The page of a comparison: one file with pictures, style and program, which needs no network."""

import base64
import io
import re
from html import escape
from importlib import resources

import numpy as np
from PIL import Image

from vaecodec.evaluation.comparison import Shown

SAME_SIZE = 0.03  # sizes that differ by more are not called the same
_WEBP_SIDE = 16383  # of a WebP picture, at most


def render(
    name: str, original: np.ndarray, shown: tuple[Shown, Shown], part: str, icc: bytes | None
) -> str:
    """The page of `original`, uint8 `[H, W, 3]`, beside vaecodec's and another codec's picture.

    `name`: of the photo; `part`: what of it is shown, empty for all of it; `icc`: its profile,
    which the pictures on the page get, too.
    """
    own, peer = shown
    height, width = original.shape[:2]
    panes = [_pane("original", name, "Original", "", _data_uri(original, icc))]
    for key, one in (("own", own), ("peer", peer)):
        size = f" \u00b7 {one.size_bytes / 1000:.1f} kB"
        panes.append(_pane(key, name, one.name, size, _data_uri(one.pixels, icc)))
    part_more = peer.size_bytes / own.size_bytes - 1
    more = f"{100 * part_more:+.1f} %".replace("-", "\u2212")
    values = {
        "name": escape(name),
        "against": escape(peer.name),
        "how": "the same" if abs(part_more) <= SAME_SIZE else "the nearest possible",
        "ratio": f"{height / width:.5f}",
        "size": f"{width} \u00d7 {height}{escape(part)}",
        "own_bytes": f"{own.size_bytes:,}",
        "peer_bytes": f"{peer.size_bytes:,}",
        "more": "the same" if own.size_bytes == peer.size_bytes else more,
        "panes": "\n".join(panes),
        "facts": _facts(original, own, peer),
        "made_by": f"{escape(own.title)}; {escape(peer.title)}",
    }
    template = resources.files("vaecodec.evaluation").joinpath("compare.html").read_text("utf-8")
    return re.sub(r"{{(\w+)}}", lambda match: values[match[1]], template)


def _pane(key: str, photo: str, name: str, size: str, uri: str) -> str:
    """One picture with its caption; the page's program arranges them."""
    return (
        f'<figure class="pane {key}" data-name="{escape(name)}">'
        f'<div class="world"><img alt="{escape(photo)}: {escape(name)}" draggable="false"'
        f' src="{uri}"></div><figcaption>{escape(name + size)}</figcaption></figure>'
    )


def _facts(original: np.ndarray, own: Shown, peer: Shown) -> str:
    """The rows of the table, the better of both codecs in bold."""
    rows = [
        f'<tr class="original"><th scope="row">Original</th><td>{original.nbytes:,}</td>'
        "<td>24</td><td></td><td></td><td></td></tr>"
    ]
    for key, one, other in (("own", own, peer), ("peer", peer, own)):
        similarity = "" if one.ms_ssim is None else f"{one.ms_ssim:.4f}"
        better = one.ms_ssim is not None and one.ms_ssim > other.ms_ssim
        cells = [
            f"{one.size_bytes:,}",
            f"{one.bpp:.3f}",
            _bold(f"{one.psnr_db:.2f}", one.psnr_db > other.psnr_db),
            _bold(similarity, better),
            f"{one.quality:.4g}",
        ]
        rows.append(
            f'<tr class="{key}"><th scope="row">{escape(one.name)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return "\n".join(rows)


def _bold(text: str, better: bool) -> str:
    return f"<b>{text}</b>" if better else text


def _data_uri(pixels: np.ndarray, icc: bytes | None) -> str:
    """The picture without loss, as WebP, which is smaller, or as PNG where it is too long for
    that."""
    webp = max(pixels.shape) <= _WEBP_SIDE
    kind, options = ("webp", {"lossless": True, "method": 3}) if webp else ("png", {})
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind.upper(), icc_profile=icc, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
