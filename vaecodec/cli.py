"""The `vaecodec` command: options, messages and exit codes; the work is done elsewhere.

torch and Pillow are imported inside the commands that need them, so that `--help`, `info` and
mistakes in the command line answer at once.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import click

from vaecodec import __version__
from vaecodec.cli_train import train
from vaecodec.container import LEVEL_MAX, MAX_PIXELS, METADATA_TYPES
from vaecodec.errors import UsageError, VaecodecError

DEFAULT_QUALITY = 60.0
METADATA_KINDS = tuple(METADATA_TYPES)

_EPILOG = "Exit codes: 0 done, 1 the data could not be processed, 2 wrong usage."


class _Group(click.Group):
    """Turns faults into one line on standard error and an exit code."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except VaecodecError as error:
            _fail(str(error), error.exit_code)
        except MemoryError:
            _fail("not enough memory for a picture of this size", 1)
        except BrokenPipeError:
            sys.exit(1)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"vaecodec: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


def _path(text: str) -> Path:
    return Path(text)


_INPUT = click.argument("source", metavar="IN", type=_path)
_OUTPUT = click.option("-o", "--output", metavar="OUT", type=_path, help="File to write.")
_FORCE = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output.")
_MODEL = click.option("--model", metavar="PATH", type=_path, help="Weight file instead of the default model.")
_DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
_LIMIT = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS, show_default=True, help="Refuse larger pictures."
)


@click.group(cls=_Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vaecodec")
def main() -> None:
    """Learned image codec: photographs into small .vae files and back."""


main.add_command(train)


@main.command(epilog=_EPILOG)
@_INPUT
@_OUTPUT
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="0 smallest to 100 best, continuous.",
)
@click.option(
    "--alpha-quality",
    type=click.FloatRange(0, 100),
    default=None,
    help="Code transparency with loss at this quality; without the option it is lossless.",
)
@click.option(
    "--strip",
    multiple=True,
    type=click.Choice(["all", *METADATA_KINDS]),
    help="Leave out metadata of a kind; may be given several times.",
)
@click.option("--page", type=click.IntRange(min=1), default=None, help="Page or frame to take, counted from 1.")
@_FORCE
@_MODEL
@_DEVICE
@_LIMIT
def encode(
    source: Path,
    output: Path | None,
    quality: float,
    alpha_quality: float | None,
    strip: tuple[str, ...],
    page: int | None,
    force: bool,
    model: Path | None,
    device: str,
    max_pixels: int,
) -> None:
    """Encode the picture IN (to IN's name with .vae by default)."""
    from vaecodec.files import check_writable, write_whole
    from vaecodec.picture_reader import read_picture

    target = output or source.with_suffix(".vae")
    check_writable(target, force)
    _refuse_same(source, target)
    picture = read_picture(source, max_pixels, page)
    _say_notes(source, picture.notes)
    picture = picture.without_metadata(METADATA_KINDS if "all" in strip else strip)

    from vaecodec.model import load_model
    from vaecodec.pipeline import EncodeOptions, encode_picture

    alpha_level = None if alpha_quality is None else level_of_quality(alpha_quality)
    options = EncodeOptions(level_of_quality(quality), alpha_level)
    data = encode_picture(picture, load_model(model, device), options)
    write_whole(target, lambda file: file.write(data), force)
    height, width = picture.pixels.shape[:2]
    bpp = 8 * len(data) / (height * width)
    ratio = picture.size_bytes / len(data)
    click.echo(f"{target}: {len(data)} bytes, {bpp:.3f} bpp, {ratio:.1f}:1")


class _RegionType(click.ParamType):
    name = "X,Y,W,H"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None):
        from vaecodec.tiling import Region

        try:
            left, top, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers X,Y,W,H", param, context)
        return Region(left, top, width, height)


@main.command(epilog=_EPILOG)
@_INPUT
@_OUTPUT
@click.option("--region", type=_RegionType(), default=None, help="Decode only this part, in pixels.")
@click.option(
    "--scale",
    type=click.Choice(["1", "1/2", "1/4", "1/8"]),
    default="1",
    show_default=True,
    help="Decode at a fraction of the size.",
)
@_FORCE
@_MODEL
@_DEVICE
@_LIMIT
def decode(
    source: Path,
    output: Path | None,
    region,
    scale: str,
    force: bool,
    model: Path | None,
    device: str,
    max_pixels: int,
) -> None:
    """Decode the .vae file IN (to IN's name with .png by default; the format follows OUT's suffix)."""
    from vaecodec.files import check_writable, write_whole

    target = output or source.with_suffix(".png")
    check_writable(target, force)
    _refuse_same(source, target)
    file = _open(source)
    with file, _naming(source):
        from vaecodec.container import read_header
        from vaecodec.picture_writer import check_suffix, write_picture

        check_suffix(target.suffix)
        read_header(file, max_pixels)  # before the seconds that loading the network takes
        file.seek(0)

        from vaecodec.model import load_model
        from vaecodec.pipeline import DecodeOptions, decode_picture

        options = DecodeOptions(max_pixels, region, int(scale.removeprefix("1/")))
        picture = decode_picture(file, load_model(model, device), options)
    notes: list[str] = []
    size_bytes = write_whole(
        target, lambda out: notes.extend(write_picture(picture, out, target.suffix)), force
    )
    _say_notes(target, notes)
    height, width = picture.pixels.shape[:2]
    click.echo(f"{target}: {width}x{height} {picture.mode}, {size_bytes} bytes")


@main.command(epilog=_EPILOG)
@click.argument("source", metavar="FILE", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--preview",
    metavar="OUT",
    type=_path,
    default=None,
    help="Write a small, rough picture of what is inside, without decoding all of it.",
)
@_FORCE
@_MODEL
@_DEVICE
@_LIMIT
def info(
    source: Path,
    as_json: bool,
    preview: Path | None,
    force: bool,
    model: Path | None,
    device: str,
    max_pixels: int,
) -> None:
    """Say what a .vae FILE holds, after checking its checksums, without decoding it.

    Of a model (.safetensors) its card is printed.
    """
    from vaecodec.container import describe

    if source.suffix == ".safetensors":
        _print_card(source, as_json)
        return
    file = _open(source)
    with file, _naming(source):
        facts = describe(file, max_pixels)
        if preview is not None:
            _write_preview(file, preview, force, model, device, max_pixels)
    facts = {"file": str(source), **facts, "quality": round(quality_of_level(facts.pop("level")), 2)}
    if as_json:
        click.echo(json.dumps(facts))
        return
    parts = ", ".join(f"{name} {size}" for name, size in facts["parts"].items())
    click.echo(f"{source}: {facts['width']}x{facts['height']} {facts['mode']}, quality {facts['quality']:g}")
    click.echo(f"  {facts['bytes']} bytes, {facts['bpp']:.4f} bpp ({parts}), {facts['slices']} slices")
    click.echo(f"  model {facts['model']}")


def _print_card(path: Path, as_json: bool) -> None:
    from vaecodec.weights import load_weights

    weights = load_weights(path)
    card = {"model": weights.model_id.hex(), "network": weights.config, **weights.card}
    if as_json:
        click.echo(json.dumps(card))
        return
    for name, value in card.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name}: {text}")


def _write_preview(
    file: BinaryIO,
    target: Path,
    force: bool,
    model: Path | None,
    device: str,
    max_pixels: int,
) -> None:
    from vaecodec.files import check_writable, write_whole
    from vaecodec.picture_writer import check_suffix, write_picture

    check_suffix(target.suffix)
    check_writable(target, force)

    from vaecodec.model import load_model
    from vaecodec.pipeline import decode_preview

    file.seek(0)
    picture = decode_preview(file, load_model(model, device), max_pixels)
    write_whole(target, lambda out: write_picture(picture, out, target.suffix), force)


def level_of_quality(quality: float) -> int:
    """A file's level (0..LEVEL_MAX) of a quality in 0..100."""
    return round(quality / 100 * LEVEL_MAX)


def quality_of_level(level: int) -> float:
    """Inverse of `level_of_quality`."""
    return 100 * level / LEVEL_MAX


def _say_notes(path: Path, notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"{path}: {note}", err=True)


class _naming:
    """Puts the file's name before the message of a fault found inside it."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, VaecodecError) and not str(error).startswith(f"{self.path}: "):
            raise type(error)(f"{self.path}: {error}") from None


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .vae file") from None
    except OSError as error:
        raise VaecodecError(f"{path}: cannot read: {error.strerror}") from None


def _refuse_same(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source}: is input and output at once; name another output with -o")
