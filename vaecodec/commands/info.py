"""The `vaecodec info` command."""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from vaecodec.batch.report import kinds_words
from vaecodec.cli.faults import EPILOG, fault_text, say_fault
from vaecodec.cli.options import FORCE, JSON, LIMIT, PATH, ModelChoice, choosing_model
from vaecodec.cli.passphrase import PASSPHRASE_FILE, passphrase_for
from vaecodec.codec.quality import quality_of_file
from vaecodec.errors import UsageError, VaecodecError
from vaecodec.network.weight_files import weights_path
from vaecodec.places import Place
from vaecodec.streams import naming, open_input
from vaecodec.version import __version__

if TYPE_CHECKING:
    from vaecodec.inference.model import Model

_CSV_COLUMNS = (
    "file", "width", "height", "mode", "quality", "level", "bytes", "bpp", "slices",
    "lossless_slices", "palette_slices", "encrypted", "model",
)  # fmt: skip


@click.command(epilog=EPILOG)
@click.argument("sources", metavar="[FILE...]", type=PATH, nargs=-1)
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets.")
@click.option(
    "--system",
    "of_system",
    is_flag=True,
    help="Say what this machine offers and what is used of it, instead: for a report of a fault.",
)
@click.option(
    "--preview",
    metavar="OUT",
    type=PATH,
    default=None,
    help="Write a small, rough picture of what is inside, without decoding all of it.",
)
@PASSPHRASE_FILE
@FORCE
@choosing_model
@LIMIT
def info(
    sources: tuple[Place, ...],
    as_json: bool,
    as_csv: bool,
    of_system: bool,
    preview: Place | None,
    passphrase_file: Place | None,
    force: bool,
    choice: ModelChoice,
    max_pixels: int,
) -> None:
    """Say what .vae files or models hold, without decoding them.

    Checksums are checked before. Of several files there is a table; of a model (.safetensors,
    visual or psnr) its card is printed.
    """
    if as_json and as_csv:
        raise UsageError("give --json or --csv, not both")
    if of_system:
        if sources or preview is not None:
            raise UsageError("--system tells of this machine; leave out FILE and --preview")
        _print_system(choice, as_json)
        return
    if not sources:
        raise UsageError("name a FILE, or ask for this machine with --system")
    if preview is not None and len(sources) > 1:
        raise UsageError("--preview is of one FILE")
    if len(sources) > 1 or as_csv:
        sys.exit(_print_many(sources, as_json, as_csv, max_pixels))
    source = sources[0]
    model = weights_path(source)
    if model.suffix == ".safetensors":
        _print_card(model, as_json)
        return
    with open_input(source) as file, naming(source):
        facts = _facts(source, file, max_pixels)
        if preview is not None:
            file.seek(0)
            passphrase = passphrase_for(file, passphrase_file)
            load = partial(choice.load, bytes.fromhex(facts["model"]))
            _write_preview(file, preview, force, load, max_pixels, passphrase)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print_one(facts)


def _facts(source: Place, file: BinaryIO, max_pixels: int) -> dict[str, Any]:
    """What is told of a .vae file. Raises FormatError."""
    from vaecodec.format.description import describe

    facts = describe(file, max_pixels)
    quality = quality_of_file(bytes.fromhex(facts["model"]), facts["level"])
    return {"file": str(source), **facts, "quality": quality}


def _print_one(facts: dict[str, Any]) -> None:
    parts = ", ".join(f"{name} {size}" for name, size in facts["parts"].items())
    slices = facts["slices"]
    is_lossless = facts["lossless_slices"] == slices
    quality = "" if is_lossless else _quality_words(facts["quality"], facts["level"])
    counted = "1 slice" if slices == 1 else f"{slices} slices"
    size = f"{facts['width']}x{facts['height']}"
    click.echo(f"{facts['file']}: {size} {facts['mode']}{quality}{kinds_words(facts)}")
    click.echo(f"  {facts['bytes']} bytes, {facts['bpp']:.4f} bpp ({parts}), {counted}")
    click.echo(f"  model {facts['model']}" + (", encrypted" if facts["encrypted"] else ""))


def _print_many(sources: tuple[Place, ...], as_json: bool, as_csv: bool, max_pixels: int) -> bool:
    """A table of the files, or an object a line; says what is wrong with others, and returns
    whether any is."""
    found, failed = [], False
    for source in sources:
        try:
            with open_input(source) as file, naming(source):
                facts = _facts(source, file, max_pixels)
        except VaecodecError as error:
            failed, fault = True, fault_text(error)
            if as_json:
                click.echo(json.dumps({"file": str(source), "ok": False, "fault": fault}))
            else:
                say_fault(fault)
            continue
        if as_json:
            click.echo(json.dumps(facts))
        found.append(facts)
    if as_csv:
        import csv

        writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    elif not as_json:
        _print_table(found)
    return failed


def _print_table(found: list[dict[str, Any]]) -> None:
    """Columns as wide as what they hold; numbers stand at their right."""
    rows = [("pixels", "mode", "quality", "bytes", "bpp", "file")]
    for facts in found:
        lossless = facts["lossless_slices"] == facts["slices"]
        known = "?" if facts["quality"] is None else f"{facts['quality']:g}"
        quality = "lossless" if lossless else known
        pixels, bpp = f"{facts['width']}x{facts['height']}", f"{facts['bpp']:.3f}"
        name = facts["file"] + (" (encrypted)" if facts["encrypted"] else "")
        rows.append((pixels, facts["mode"], quality, str(facts["bytes"]), bpp, name))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join([*cells[:-1], row[-1]]))


def _quality_words(quality: float | None, level: int) -> str:
    return (
        f", level {level} of a model that is not here"
        if quality is None
        else f", quality {quality:g}"
    )


def _print_card(path: Place, as_json: bool) -> None:
    from vaecodec.network.weights import load_weights

    weights = load_weights(path)
    card = {"model": weights.model_id.hex(), "network": weights.config, **weights.card}
    if as_json:
        click.echo(json.dumps(card))
        return
    for name, value in card.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name}: {text}")


def _print_system(choice: ModelChoice, as_json: bool) -> None:
    # Here alone, as it imports torch: a plain info answers in a tenth of a second.
    from vaecodec.inference.system import describe_system

    facts = {"vaecodec": __version__, **describe_system(choice.device, choice.backend)}
    if as_json:
        click.echo(json.dumps(facts))
        return
    lines = {
        "vaecodec": f"{facts['vaecodec']}, Python {facts['python']}, {facts['system']}",
        "processor": facts["processor"],
        "features": ", ".join(facts["features"]) or "none known",
        "cores": f"{facts['cores_used']} of {facts['cores']} used",
        "packages": ", ".join(f"{k} {v or 'missing'}" for k, v in facts["packages"].items()),
        "environment": " ".join(f"{k}={v}" for k, v in facts["environment"].items()) or "as usual",
        "network": f"{facts['backend']} on {facts['device'] or 'cpu'}",
    }
    if facts["precision"] is None:
        lines["torch"] = "does not load; efforts from 2 on, training and GPUs need it"
    else:
        lines["gpus"] = ", ".join(facts["gpus"]) or "none"
        lines["refinement and training"] = f"{facts['precision']}, {facts['torch_threads']} threads"
    for name, text in lines.items():
        click.echo(f"{name}: {text}")
    for model in facts["models"]:
        said = f"{model['model']} {model['name']}" if "model" in model else "not usable"
        click.echo(f"model: {said}, {model.get('fault') or model['file']}")


def _write_preview(
    file: BinaryIO,
    target: Place,
    force: bool,
    load: "Callable[[], Model]",
    max_pixels: int,
    passphrase: bytes | None,
) -> None:
    from vaecodec.atomic_files import check_writable, write_whole
    from vaecodec.picture.writer import check_suffix, write_picture

    check_suffix(target.suffix)
    check_writable(target, force)

    from vaecodec.codec.decoder import decode_preview

    picture = decode_preview(file, load(), max_pixels, passphrase)
    write_whole(target, lambda out: write_picture(picture, out, target.suffix), force)
