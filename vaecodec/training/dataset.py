"""Crops from a folder of pictures, here or at an address: found, split, decoded within bounded
memory, in an order that a seed fixes."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np

from vaecodec.atomic_files import write_json
from vaecodec.errors import PictureError, UsageError
from vaecodec.picture.reader import MAX_PICTURE_PIXELS, picture_size, read_rgb
from vaecodec.places import Place, RemotePath
from vaecodec.training.options import TrainOptions
from vaecodec.training.patterns import draw_pattern

SPLITS = ("train", "validation", "test")
SHARES = (0.9, 0.05, 0.05)
_POOL_REUSE = 8  # crops drawn from a pool, in multiples of its pixels, before the next takes over
WINDOW_PIXELS = 16 * 10**6  # of a larger picture only a window of about this size is held


@dataclass(frozen=True)
class TrainingPicture:
    """A usable picture of the folder: path relative to it, size in pixels, and its split."""

    path: str
    width: int
    height: int
    split: str


def scan_folder(
    folder: Place, min_side: int
) -> tuple[list[TrainingPicture], list[tuple[str, str]]]:
    """All pictures under `folder`, and (path, reason) of the files that were left out.

    The split depends on the name of the file inside the folder alone, so that adding pictures moves
    none of the others. Raises UsageError for a folder that is not there.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    sources, skipped = [], []
    for name, path in _files_in(folder):
        try:
            width, height = picture_size(path, MAX_PICTURE_PIXELS)
        except (PictureError, UsageError) as error:
            skipped.append((name, str(error).removeprefix(f"{path}: ")))
            continue
        if min(width, height) < min_side:
            skipped.append((name, f"{width}x{height} is smaller than {min_side} pixels"))
        else:
            sources.append(TrainingPicture(name, width, height, split_of(name)))
    return sources, skipped


def _files_in(folder: Place, inside: str = "") -> Iterator[tuple[str, Place]]:
    """All files of a tree but hidden ones, by their names inside it. Raises UsageError."""
    if not isinstance(folder, RemotePath):
        paths = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        yield from ((path.relative_to(folder).as_posix(), path) for path in sorted(paths))
        return
    try:
        found = sorted(folder.children(), key=lambda child: child[0].name)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be listed: {error.strerror}") from None
    for child, is_folder in found:
        if is_folder:
            yield from _files_in(child, f"{inside}{child.name}/")
        elif not child.name.startswith("."):
            yield f"{inside}{child.name}", child


def split_of(name: str) -> str:
    """The split of a file name, by its hash."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    if place < SHARES[0]:
        return "train"
    return "validation" if place < SHARES[0] + SHARES[1] else "test"


def validation_crop(pixels: np.ndarray, side: int) -> np.ndarray:
    """A fixed part `[side, side, 3]`, or less where the picture is smaller, in multiples of 64.

    It starts 64 pixels from the upper left corner where there is room, as in the published figures
    of this project's models.
    """
    height, width = (min(size // 64 * 64, side) for size in pixels.shape[:2])
    top, left = min(64, pixels.shape[0] - height), min(64, pixels.shape[1] - width)
    return pixels[top : top + height, left : left + width]


class CropSampler:
    """Random crops for training, the same for the same seed and step whatever happened before.

    Pictures are decoded in pools of at most `pool_bytes`, in an order shuffled anew for every
    epoch; while crops are drawn from one pool the next is decoded in the background. Where all
    pictures fit into one pool they are decoded once.
    """

    def __init__(
        self,
        folder: Place,
        sources: Sequence[TrainingPicture],
        seed: int,
        pool_bytes: int,
        step_bytes: int,
        patterns: float = 0.0,
    ):
        """`step_bytes`: what the crops of a step take, which decides how long a pool is drawn
        from; `patterns`: the share of crops that are drawn patterns."""
        self._folder, self._sources, self._seed = folder, list(sources), seed
        self._patterns = patterns
        self._pool_bytes = pool_bytes
        self._steps_per_pool = max(1, _POOL_REUSE * pool_bytes // step_bytes)
        self._fits = sum(map(_bytes_held, sources)) <= pool_bytes
        self._executor = ThreadPoolExecutor(1, "pictures")
        self._pools: dict[int, Future[list[np.ndarray]]] = {}
        self._plan: list[list[TrainingPicture]] = []
        self._planned_epochs = 0

    def batch(self, step: int, count: int, side: int, rank: int = 0) -> np.ndarray:
        """`count` crops uint8 `[count, side, side, 3]` for a step, flipped and turned at random."""
        pool = self._pool(self._number_of_pool(step))
        rng = np.random.default_rng((self._seed, step, rank))
        crops = _draw(pool, count, side, rng)
        for number in np.flatnonzero(rng.random(count) < self._patterns):
            crops[number] = draw_pattern(side, rng)
        return crops

    def start_batches(self, batches: int, count: int, side: int) -> list[np.ndarray]:
        """Crops for the starting weights, drawn apart from those of any step."""
        pool = self._pool(0)
        rng = np.random.default_rng((self._seed, 1 << 41))
        return [_draw(pool, count, side, rng) for _ in range(batches)]

    def first_pictures(self, count: int) -> list[np.ndarray]:
        """Some decoded training pictures, for the starting weights and the tables."""
        return self._pool(0)[:count]

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    def _number_of_pool(self, step: int) -> int:
        return 0 if self._fits else step // self._steps_per_pool

    def _pool(self, number: int) -> list[np.ndarray]:
        for wanted in (number, number + 1) if not self._fits else (0,):
            if wanted not in self._pools:
                self._pools[wanted] = self._executor.submit(
                    self._decode, self._sources_of_pool(wanted)
                )
        for old in [n for n in self._pools if n < number]:
            del self._pools[old]
        pool = self._pools[number].result()
        if not pool:
            raise UsageError(f"{self._folder}: none of the pictures could be decoded")
        return pool

    def _sources_of_pool(self, number: int) -> list[TrainingPicture]:
        while len(self._plan) <= number:
            order = np.random.default_rng((self._seed, self._planned_epochs, 1 << 40)).permutation(
                len(self._sources)
            )
            self._plan.extend(_fill_pools([self._sources[i] for i in order], self._pool_bytes))
            self._planned_epochs += 1
        return self._plan[number]

    def _decode(self, sources: Iterable[TrainingPicture]) -> list[np.ndarray]:
        pool: list[np.ndarray] = []
        for source in sources:
            try:
                pixels = read_rgb(self._folder / source.path)
            except (PictureError, UsageError):
                continue  # its header was sound when the folder was scanned
            pool.append(_window(pixels, np.random.default_rng((self._seed, len(pool)))))
        return pool


def _bytes_held(source: TrainingPicture) -> int:
    return 3 * min(source.width * source.height, WINDOW_PIXELS)


def _fill_pools(sources: list[TrainingPicture], pool_bytes: int) -> list[list[TrainingPicture]]:
    pools: list[list[TrainingPicture]] = [[]]
    held = 0
    for source in sources:
        if pools[-1] and held + _bytes_held(source) > pool_bytes:
            pools.append([])
            held = 0
        pools[-1].append(source)
        held += _bytes_held(source)
    return pools


def _window(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    if height * width <= WINDOW_PIXELS:
        return pixels
    shrink = (WINDOW_PIXELS / (height * width)) ** 0.5
    rows, columns = int(height * shrink), int(width * shrink)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    result: np.ndarray = pixels[top : top + rows, left : left + columns].copy()
    return result


def _draw(pool: list[np.ndarray], count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    areas = np.array([p.shape[0] * p.shape[1] for p in pool], float)
    crops = np.empty((count, side, side, 3), np.uint8)
    for crop, index in zip(crops, rng.choice(len(pool), count, p=areas / areas.sum()), strict=True):
        crop[:] = _random_crop(pool[index], side, rng)
    return crops


def _random_crop(pixels: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    if min(height, width) < side:  # a small picture in a phase of large crops
        pixels = np.pad(
            pixels,
            ((0, max(side - height, 0)), (0, max(side - width, 0)), (0, 0)),
            mode="symmetric",
        )
        height, width = pixels.shape[:2]
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    crop = pixels[top : top + side, left : left + side]
    flip_rows, flip_columns, transpose = rng.integers(0, 2, 3)
    crop = crop[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return crop.swapaxes(0, 1) if transpose else crop


def find_sources(options: TrainOptions, write: bool) -> dict[str, list[TrainingPicture]]:
    """Pictures by split; the list is kept in the run folder, so that a resumed run sees the same
    ones."""
    listing = options.run / "pictures.json"
    if listing.exists():
        stored = json.loads(listing.read_text())
        return {
            split: [TrainingPicture(**s) for s in found]
            for split, found in stored["splits"].items()
        }
    found, skipped = scan_folder(options.folder, options.recipe.crop)
    splits = {name: [s for s in found if s.split == name] for name in SPLITS}
    if options.validation_folder is not None:
        validation, more_skipped = scan_folder(options.validation_folder, 64)
        skipped += more_skipped
        splits = {"train": found, "validation": validation, "test": []}
    elif len(found) >= 3:
        # Small folders: the hash may leave a split empty, so each lends the others one picture.
        for name in ("validation", "test", "train"):
            donor = max(splits, key=lambda split: len(splits[split]))
            if not splits[name]:
                splits[name].append(replace(splits[donor].pop(), split=name))
    if len(splits["train"]) == 0 or len(splits["validation"]) == 0:
        raise UsageError(
            f"{options.folder}: {len(found)} usable pictures of at least"
            f" {options.recipe.crop} pixels a side"
            f" ({len(skipped)} left out); training needs at least 3"
        )
    if write:
        stored = {name: [asdict(s) for s in part] for name, part in splits.items()}
        write_json(listing, {"splits": stored, "skipped": skipped})
    return splits
