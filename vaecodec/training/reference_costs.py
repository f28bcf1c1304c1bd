"""What other codecs and the shipped model come to in the figure of validation, mean log J."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vaecodec.evaluation.reference_codecs import REFERENCE_CODECS, AnyReferenceCodec
from vaecodec.network.distortion import distortion
from vaecodec.network.rate_distortion import quality_lambda
from vaecodec.network.vae import VAE, network_from_weights
from vaecodec.network.weight_files import DEFAULT_TUNE, TUNES, shipped_weights_path
from vaecodec.network.weights import load_weights

SHIPPED = "the shipped model"
# The codec, that for a training for PSNR, and the qualities to try: AVIF takes half a second each.
CODECS = {"WebP": ("webp", "webp", slice(None)), "AVIF": ("avif", "avif-psnr", slice(1, None, 2))}


def reference_costs(
    crops: Sequence[Tensor],
    levels: Sequence[float],
    metric: str,
    validate: Callable[[VAE, Sequence[Tensor]], float],
) -> Iterator[tuple[str, float]]:
    """Titles and mean log J on `crops` (`[H, W, 3]` uint8) and `levels`, one after the other.

    A codec takes for each crop and level the quality that is best there; where one is not installed
    it is left out. `validate`: the figure of a network.
    """
    for title, (name, for_psnr, tried) in CODECS.items():
        codec = REFERENCE_CODECS[for_psnr if metric == "psnr" else name]
        if codec.available():
            ladder = codec.ladder[tried]
            costs = [_best_costs(crop, codec, ladder, levels, metric) for crop in crops]
            yield title, float(np.mean(costs))
    weights = load_weights(shipped_weights_path(metric if metric in TUNES else DEFAULT_TUNE))
    yield SHIPPED, validate(network_from_weights(weights), crops)


@torch.no_grad()
def _best_costs(
    crop: Tensor,
    codec: AnyReferenceCodec,
    ladder: Sequence[float],
    levels: Sequence[float],
    metric: str,
) -> list[float]:
    """log J at each level, at the quality that is best there."""
    image = Image.fromarray(crop.numpy())
    files = [codec.encode(image, quality) for quality in ladder]
    decoded = np.stack([np.asarray(codec.decode(file)) for file in files])
    x, x_hat = (_planes(pixels) for pixels in (crop[None], torch.from_numpy(decoded)))
    bpp = torch.tensor([8 * len(file) / (image.width * image.height) for file in files])
    distances = distortion(x_hat, x.expand_as(x_hat), metric)
    lambdas = quality_lambda(torch.tensor(levels))
    costs: list[float] = (bpp + lambdas[:, None] * distances).amin(1).log().tolist()
    return costs


def _planes(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255
