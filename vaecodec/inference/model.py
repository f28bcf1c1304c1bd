"""A loaded model: the integer scale network, the tables, and the float transforms behind them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vaecodec.entropy.coder import TableSet
from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork
from vaecodec.entropy.rdoq import rounding_margins
from vaecodec.entropy.scales import LEVEL_UNIT, nearest_anchor
from vaecodec.errors import UsageError
from vaecodec.inference.interfaces import Transforms
from vaecodec.network.config import NetworkConfig
from vaecodec.network.weights import Weights

Item = TypeVar("Item")
Result = TypeVar("Result")

if TYPE_CHECKING:
    from vaecodec.inference.refine import Refiner


@dataclass(frozen=True)
class Model:
    """Everything that encoding and decoding need from a weight file."""

    weights: Weights
    transforms: Transforms

    @property
    def model_id(self) -> bytes:
        return self.weights.model_id

    @property
    def m(self) -> int:
        """Number of latent channels."""
        return self.weights.config["m"]

    @property
    def elementwise(self) -> bool:
        """Whether every latent has a quantisation step of its own."""
        return self.weights.config["elementwise"] > 0

    @property
    def level_max(self) -> int:
        """The highest level of a file."""
        return (self.weights.config["anchors"] - 1) * LEVEL_UNIT

    @property
    def halo(self) -> int:
        """Latent positions beyond a slice that g_a and g_s can see, at most."""
        return NetworkConfig(**self.weights.config).halo

    @property
    def fine_halo(self) -> int:
        """Of these, what the first part of g_a sees."""
        return NetworkConfig(**self.weights.config).fine_halo

    @property
    def coarse_halo(self) -> int:
        """Of these, what its second part sees."""
        return NetworkConfig(**self.weights.config).coarse_halo

    @cached_property
    def scale_network(self) -> IntegerScaleNetwork:
        return self.transforms.scale_network()

    @cached_property
    def y_tables(self) -> TableSet:
        return TableSet(self.weights.y_tables)

    @cached_property
    def z_tables(self) -> TableSet:
        return TableSet(self.weights.z_tables)

    @cached_property
    def rounding_margins(self) -> np.ndarray:
        """For entropy.rdoq."""
        return rounding_margins(self.weights.y_tables)

    @cached_property
    def refiner(self) -> "Refiner":
        """Made when first used, since it needs torch. Raises UsageError where that is not there."""
        try:
            from vaecodec.inference.refine import Refiner
        except ModuleNotFoundError as error:
            raise UsageError(
                f"this effort needs the package {error.name}; install it, or use effort 1"
            ) from None
        return Refiner(self.weights, str(self.transforms.device))

    def in_parallel(
        self, work: Callable[[Item], Result], items: list[Item], at_once: int | None = None
    ) -> Iterator[Result]:
        """Results of `work` over `items` in order; several at a time, a core each, where that
        helps.

        `at_once`: how many there usually are, where these may be fewer. A thread with one core and
        one with all differ in the last bits, so that decides, and a part comes out as in the whole.
        """
        workers = min(self.transforms.workers, at_once or len(items))
        if workers < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(workers, initializer=self.transforms.start_worker) as pool:
            yield from pool.map(work, items)

    def z_indices(self, rows: int, columns: int, level: int) -> np.ndarray:
        """Table of every hyper-latent, `[rows, columns, cz]`: that of its channel at the nearest
        anchor."""
        cz = self.weights.config["cz"]
        return np.broadcast_to(nearest_anchor(level) * cz + np.arange(cz), (rows, columns, cz))
