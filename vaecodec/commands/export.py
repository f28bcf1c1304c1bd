"""The `vaecodec export` command."""

from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from vaecodec.cli.faults import EPILOG
from vaecodec.cli.options import FORCE, LOCAL_PATH, PATH, QUIET
from vaecodec.errors import UsageError
from vaecodec.places import Place


@click.command(epilog=EPILOG)
@click.argument("model", type=PATH)
@click.option(
    "-o", "--output", metavar="DIR", type=LOCAL_PATH, help="Folder (default: MODEL's name.onnx)."
)
@FORCE
@QUIET
def export(model: Place, output: Path | None, force: bool, quiet: bool) -> None:
    """Write a model's float network as ONNX graphs.

    MODEL is a weight file (.safetensors), visual or psnr. The graphs are for other programs:
    vaecodec itself makes them from the weight file whenever it runs. Each names its model in its
    metadata, and its inputs, outputs and sizes.
    """
    from vaecodec.atomic_files import check_writable, write_whole
    from vaecodec.inference.onnx_graphs import graph_bytes, graph_names
    from vaecodec.network.weight_files import weights_path
    from vaecodec.network.weights import check_parameters, load_weights

    weights = load_weights(weights_path(model))
    check_parameters(weights)
    folder = output or Path(f"{model.stem}.onnx")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be a folder: {error.strerror}") from None
    names = graph_names(weights)
    for name in names:
        check_writable(folder / f"{name}.onnx", force)
    size_bytes = 0
    for name in names:
        data = graph_bytes(weights, name)
        write = partial(_write, data)
        size_bytes += write_whole(folder / f"{name}.onnx", write, force)
    if not quiet:
        text = f"{len(names)} graphs of model {weights.model_id.hex()}, {size_bytes} bytes"
        click.echo(f"{folder}: {text}")


def _write(data: bytes, file: BinaryIO) -> None:
    file.write(data)
