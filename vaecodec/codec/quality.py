"""What a quality of 0 to 100 means to a model, and the levels that files hold."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vaecodec.codec.effort import DEFAULT_EFFORT, LEVELS_BELOW, check_effort
from vaecodec.entropy.scales import LEVEL_UNIT
from vaecodec.errors import ModelError, UsageError
from vaecodec.network.weight_files import find_description, metric_of_card

if TYPE_CHECKING:
    from vaecodec.inference.model import Model

CARD_ENTRY = "quality_scores"  # in the card of a weight file


@dataclass(frozen=True)
class QualityScale:
    """Qualities, and the levels that give them with the default effort; linear in between.

    `qualities` rise, one for each of `levels`. What lies beyond the ends is taken as the end.
    `is_score`: whether a quality is the SSIMULACRA 2 score of a photograph.
    """

    qualities: tuple[float, ...]
    levels: tuple[int, ...]
    default: float
    levels_below: tuple[int, ...]  # by effort
    is_score: bool

    @classmethod
    def of(cls, config: dict[str, int], card: dict[str, Any]) -> "QualityScale":
        """That of a weight file, by its sizes and its card. Raises ModelError.

        A model tuned for the eye says which SSIMULACRA 2 score a photograph has at evenly spaced
        levels: that score is the quality. Of others 0 and 100 are the ends of the scale.
        """
        top = (config["anchors"] - 1) * LEVEL_UNIT
        below = LEVELS_BELOW.get(metric_of_card(card), LEVELS_BELOW["psnr"])
        scores = card.get(CARD_ENTRY)
        if scores is None:
            return cls((0.0, 100.0), (0, top), 60.0, below, False)
        if not _is_scale(scores):
            raise ModelError(f"the model's {CARD_ENTRY} are not rising scores up to 100")
        last = len(scores) - 1
        levels = tuple(round(top * place / last) for place in range(last + 1))
        return cls(tuple(map(float, scores)), levels, 75.0, below, True)

    def level(self, quality: float | None, effort: int = DEFAULT_EFFORT) -> int:
        """A file's level of a quality in 0..100, None for the default, encoded with `effort`.

        A quality is what the default effort makes of it. The others lose less of a picture at the
        same level, so they take a lower one for the same quality; at the bottom of the scale, where
        there is none, they come nearer to the same level. Raises UsageError outside 0..100 and for
        an effort that there is not.
        """
        check_effort(effort)
        quality = self.default if quality is None else quality
        if not 0 <= quality <= 100:
            raise UsageError(f"quality {quality:g} is not in 0..100")
        level = _interpolate(quality, self.qualities, self.levels)
        return round(level - min(self.levels_below[effort], level / 4))

    def quality(self, level: int, effort: int = DEFAULT_EFFORT) -> float:
        """The quality of a file's level if it was encoded with `effort`, the inverse of `level`."""
        same_quality = level + min(self.levels_below[effort], level / 3)
        return _interpolate(same_quality, self.levels, self.qualities)


def _interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    # numpy's interp, without the import that `info` does not need otherwise.
    if not xs[0] < x < xs[-1]:
        return ys[0] if x <= xs[0] else ys[-1]
    after = bisect_left(xs, x)
    part = (x - xs[after - 1]) / (xs[after] - xs[after - 1])
    return ys[after - 1] + part * (ys[after] - ys[after - 1])


def _is_scale(scores: object) -> bool:
    return (
        isinstance(scores, Sequence)
        and len(scores) > 1
        and all(isinstance(score, int | float) for score in scores)
        and all(low < high for low, high in pairwise([*scores, 100.001]))
    )


def scale_of(model: "Model") -> QualityScale:
    """The scale of a loaded model. Raises ModelError."""
    return QualityScale.of(model.weights.config, model.weights.card)


_of_ids: dict[bytes, QualityScale] = {}  # an id stands for the same scale for ever


def quality_of_file(model_id: bytes, level: int) -> float | None:
    """The quality of a file's level, of one digit behind the point; None where its model is not
    here to say it."""
    if model_id not in _of_ids:
        described = find_description(model_id)
        if described is None:
            return None
        _of_ids[model_id] = QualityScale.of(described.config, described.card)
    return round(_of_ids[model_id].quality(level), 1)
