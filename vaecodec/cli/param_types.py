"""Values that options take: files and folders, sizes in bytes, sizes and regions in pixels."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.shell_completion import CompletionItem

from vaecodec.places import Place, RemotePath, place

if TYPE_CHECKING:
    from vaecodec.codec.tiling import Region


class NumberType(click.FloatRange):
    """A number in a range, which nan is not, although it compares as below no minimum."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, context)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, context)
        return number


class _PathType(click.ParamType[Any]):
    """Completed by Tab."""

    name = "path"

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class PlaceType(_PathType):
    """A file or folder here, or at an address that fsspec knows; not looked at."""

    def convert(
        self, value: str | Place, param: click.Parameter | None, context: click.Context | None
    ) -> Place:
        return place(value)


class LocalPathType(_PathType):
    """A file or folder on this machine: what is written bit by bit."""

    def convert(
        self, value: str | Place, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        found = place(value)
        if isinstance(found, RemotePath):
            self.fail(f"{found} is not on this machine, where this has to be", param, context)
        return found


PATH = PlaceType()
LOCAL_PATH = LocalPathType()
POSITIVE = NumberType(min=0, min_open=True)


class DimensionsType(click.ParamType[tuple[int, int]]):
    """Width and height in pixels."""

    name = "WxH"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", value)
        if match is None:
            self.fail(f"{value!r} is not a width and a height like 768x512", param, context)
        return int(match[1]), int(match[2])


class SizeType(click.ParamType[float]):
    """A size in bytes, with the units people write: 200kB, 1.5MiB, 90000."""

    name = "SIZE"
    _UNITS: ClassVar = {
        "": 1,
        "b": 1,
        "kb": 1e3,
        "k": 1e3,
        "mb": 1e6,
        "m": 1e6,
        "kib": 2**10,
        "mib": 2**20,
    }

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)", value)
        if match is None or match[2].lower() not in self._UNITS or float(match[1]) == 0:
            self.fail(f"{value!r} is not a size like 200kB or 1.5MiB", param, context)
        return float(match[1]) * self._UNITS[match[2].lower()]


class RegionType(click.ParamType["Region"]):
    """A part of a picture: left, top, width and height in pixels."""

    name = "X,Y,W,H"

    def convert(
        self, value: str, param: click.Parameter | None, context: click.Context | None
    ) -> "Region":
        from vaecodec.codec.tiling import Region

        try:
            left, top, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers X,Y,W,H", param, context)
        return Region(left, top, width, height)
