"""Where weight files are, and what they say of themselves, read without numpy.

A model's identity is the first 8 bytes of the SHA-256 of its file, so that any tool can check it. A
file is of safetensors; its metadata entry "vaecodec" is JSON with "format", "config" (sizes of the
network) and "card" (free text, and what QualityScale reads).
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from vaecodec.errors import ModelError
from vaecodec.format.container import MODEL_ID_BYTES
from vaecodec.places import Place, RemotePath

FORMATS = (1, 2)  # read; written is the last
UNNAMED = {"activation_bits": 0, "float_blocks": 0}  # sizes that files of format 2 may leave out
FIRST_GENERATION = UNNAMED | {"anchors": 6, "elementwise": 0}  # the same of format 1
METADATA_ENTRY = "vaecodec"
MAX_FILE_BYTES = 256 * 2**20
METRICS = ("visual", "psnr", "ms-ssim")  # what a model can be trained to preserve
# The models that ship, as their files are called, by identity: so that what they say is found
# without reading all of them, which would take half the time of an `info`.
SHIPPED = {
    "4072b9057fcde66e": "psnr",
    "819045b89b0e97eb": "visual",
    "826b01012d3a70e9": "visual-2",
}
# Those of them that new files are made with, by what they preserve. The others are for old files.
CURRENT = {"visual": "visual-2", "psnr": "psnr"}
TUNES = tuple(CURRENT)
DEFAULT_TUNE = "visual"
_DEFAULT = "default"

AnyPlace = TypeVar("AnyPlace", bound=Place)


@dataclass(frozen=True)
class Description:
    """What a weight file says of its network."""

    config: dict[str, int]
    card: dict[str, Any]


def shipped_weights_path(tune: str = DEFAULT_TUNE) -> Path:
    """The current model of one of TUNES, which ships with the package."""
    return shipped_file(CURRENT[tune])


def shipped_file(name: str, suffix: str = ".safetensors") -> Path:
    """What ships of one of SHIPPED, in the package or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "models" / f"{name}{suffix}"
    return installed if installed.exists() else package.parent / "models" / installed.name


def reduced_file(model_id: bytes) -> Path | None:
    """Where the map for reduced pictures is of a model that was released without; None of one that
    does not ship."""
    name = SHIPPED.get(model_id.hex())
    return None if name is None else shipped_file(name, ".reduced")


def weights_path(model: AnyPlace) -> AnyPlace | Path:
    """The weight file that a user names: by its path, or by what it ships for, "visual" or "psnr";
    "default" is that of DEFAULT_TUNE."""
    name = str(model)
    if name not in (_DEFAULT, *TUNES) or model.exists():
        return model
    return shipped_weights_path(DEFAULT_TUNE if name == _DEFAULT else name)


def known_weight_files() -> Iterator[Path]:
    """The weight files that ship, and those that VAECODEC_MODELS lists, there or not.

    VAECODEC_MODELS holds files and folders, separated as in PATH.
    """
    listed = os.environ.get("VAECODEC_MODELS", "").split(os.pathsep)
    for place in (shipped_weights_path().parent, *map(Path, filter(None, listed))):
        yield from sorted(place.glob("*.safetensors")) if place.is_dir() else [place]


_received: dict[bytes, tuple[Place, bytes]] = {}  # by the model's identity


def receive_weights(data: bytes, origin: Place = Path("received model")) -> bytes:
    """Keep a weight file that came another way, for `find_weight_file`; returns its identity. What
    it holds is checked when it is loaded."""
    model_id = identity(data)
    _received[model_id] = origin, data
    return model_id


def forget_received() -> None:
    """Keep none of them."""
    _received.clear()


def find_weight_file(model_id: bytes) -> tuple[Place, bytes] | None:
    """Where the received or known weight file of a model is and its bytes, None where there is
    none."""
    if model_id in _received:
        return _received[model_id]
    shipped = [shipped_file(SHIPPED[model_id.hex()])] if model_id.hex() in SHIPPED else []
    for path in chain(shipped, known_weight_files()):  # so that seldom more than one is read
        try:
            data = read_weight_file(path)
        except ModelError:
            continue
        if identity(data) == model_id:
            return path, data
    return None


def identity(data: bytes) -> bytes:
    """The name of a model in the files it makes: the first bytes of the SHA-256 of its weight
    file."""
    import hashlib  # which loads OpenSSL

    return hashlib.sha256(data).digest()[:MODEL_ID_BYTES]


def read_weight_file(path: Place) -> bytes:
    """All of a weight file. Raises ModelError."""
    try:
        if isinstance(path, RemotePath):
            with path.open("rb", MAX_FILE_BYTES) as file:
                return file.read()
        too_large = path.stat().st_size > MAX_FILE_BYTES
        data = b"" if too_large else path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model: {error.strerror}") from None
    if too_large:
        raise ModelError(f"{path}: over {MAX_FILE_BYTES} bytes, not a vaecodec model")
    return data


def describe_weights(data: bytes) -> Description:
    """What a weight file's bytes say of it. Raises ValueError, KeyError and TypeError for what is
    none."""
    header_bytes = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_bytes])["__metadata__"]
    described = json.loads(metadata[METADATA_ENTRY])
    if described["format"] not in FORMATS:
        raise ValueError(f"weight format {described['format']}, this program reads {FORMATS}")
    named = {str(name): int(value) for name, value in described["config"].items()}
    config = (FIRST_GENERATION if described["format"] == 1 else UNNAMED) | named
    return Description(config, dict(described["card"]))


def find_description(model_id: bytes) -> Description | None:
    """What the known weight file of a model says, None where there is none."""
    try:
        if model_id.hex() in SHIPPED:
            return describe_weights(_header_of(shipped_file(SHIPPED[model_id.hex()])))
        found = find_weight_file(model_id)
        return None if found is None else describe_weights(found[1])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _header_of(path: Path) -> bytes:
    """A weight file up to where its tensors begin."""
    with path.open("rb") as file:
        length = file.read(8)
        return length + file.read(min(int.from_bytes(length, "little"), MAX_FILE_BYTES))


def metric_of_card(card: dict[str, Any]) -> str:
    """Which of METRICS a model was trained to preserve, by its card or its run's options; the first
    generation says nothing, or calls psnr mse."""
    named = card.get("metric", "psnr")
    return "psnr" if named == "mse" else str(named)
