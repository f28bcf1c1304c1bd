"""Hostile files: mutates sound ones and checks that each is refused in one way or decodes to the
same.

    python scripts/check_fuzz.py --info 1000000 --decode 20000 [--model PATH] [--seed N]
    python scripts/check_fuzz.py --info 0 --decode 0 --pictures 200000

Half of the mutations have their checksums made right again, so that what lies behind them is
reached. A run stops at the first input that raises anything but VaecodecError, takes over 10
seconds of processor time, or decodes to symbols that are not those of the file it was made from;
the input is kept.
"""

import io
import random
import resource
import sys
import time
import zlib
from pathlib import Path

import click
import fuzz_pictures
import numpy as np

from vaecodec.codec import slice_coder as latents
from vaecodec.codec.decoder import DecodeOptions, decode_picture
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.errors import VaecodecError
from vaecodec.format import container
from vaecodec.format.container import (
    CHUNK_BYTES,
    HEADER_BYTES,
    Chunk,
    pack_chunks,
    read_chunks,
    read_header,
)
from vaecodec.format.description import describe
from vaecodec.inference.loading import load_model
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture

MAX_SECONDS = 10
MAX_PIXELS = 2**20
INTERESTING = [0, 1, 2, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


def sample_files(model: Model) -> list[bytes]:
    """Small files with every kind of content."""
    rng = np.random.default_rng(0)
    ramp = (np.add.outer(np.arange(70), np.arange(90))[:, :, None] + np.array([0, 30, 60])).astype(
        np.uint8
    )
    noise = rng.integers(0, 256, (33, 47, 3)).astype(np.uint8)
    alpha = (np.indices((70, 90)).sum(0) % 256).astype(np.uint8)
    metadata = {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "icc": bytes(128), "xmp": b"<x/>"}
    pictures = [
        (Picture(ramp), 800, None),
        (Picture(noise), 1280, None),
        (Picture(ramp[:, :, 0]), 0, None),
        (Picture(ramp.astype(np.uint16) * 257, alpha, metadata), 500, None),
        (Picture(ramp, alpha), 500, 640),
        (Picture(np.repeat(ramp, 20, axis=0)[:1100]), 100, None),
    ]
    files = [
        encode_picture(p, model, EncodeOptions(level, alpha_level))
        for p, level, alpha_level in pictures
    ]
    mask = EncodeOptions(700, roi=alpha)
    page = np.where(ramp[:, :, :1] % 40 > 20, 255, 20).astype(np.uint8).repeat(3, axis=2)
    wide = np.concatenate(
        [page.repeat(12, axis=1)[:40, :1024], noise[:40, :40].repeat(2, 0)[:40]], 1
    )
    for pixels, transparency, lossless in (
        (page, alpha, False),
        (wide, None, False),
        (ramp.astype(np.uint16) * 201, None, True),
    ):
        options = EncodeOptions(900, lossless=lossless)
        files.append(encode_picture(Picture(pixels, transparency), model, options))
    return [*files, encode_picture(Picture(ramp), model, mask)]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few random changes; in half of the cases with right checksums."""
    mend = rng.random() < 0.5
    header, chunks = bytearray(data[: HEADER_BYTES - 4]), split(data)
    if mend:
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.4:
                change_bytes(header, rng)
            else:
                change_chunks(chunks, rng)
        return bytes(header) + zlib.crc32(header).to_bytes(4, "little") + pack_chunks(chunks)
    whole = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        change_bytes(whole, rng)
    if rng.random() < 0.2:
        del whole[rng.randrange(len(whole) + 1) :]
    if rng.random() < 0.1:
        whole += rng.randbytes(rng.randint(1, 40))
    return bytes(whole)


def split(data: bytes) -> list[Chunk]:
    file = io.BytesIO(data)
    return [chunk for _, chunk in read_chunks(file, read_header(file))]


def change_bytes(data: bytearray, rng: random.Random) -> None:
    if not data:
        return
    place = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        data[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[place] = rng.randrange(256)
    else:
        data[place : place + 4] = rng.choice(INTERESTING).to_bytes(4, "little")[: len(data) - place]


def change_chunks(chunks: list[Chunk], rng: random.Random) -> None:
    if not chunks:
        return
    place = rng.randrange(len(chunks))
    kind = rng.randrange(5)
    if kind == 0:
        del chunks[place]
    elif kind == 1:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[place])
    elif kind == 2:
        types = [
            b"Slic",
            b"Alph",
            b"exif",
            b"iccp",
            b"xmpp",
            b"prvw",
            b"Gmap",
            b"Lslc",
            b"Lpic",
            b"note",
        ]
        types.append(b"Need")
        chunks[place] = Chunk(rng.choice(types), chunks[place].payload)
    else:
        payload = bytearray(chunks[place].payload)
        change_bytes(payload, rng)
        if kind == 4:
            del payload[rng.randrange(len(payload) + 1) :]
        chunks[place] = Chunk(chunks[place].type, bytes(payload))


def try_info(data: bytes) -> bool:
    describe(io.BytesIO(data), MAX_PIXELS)
    return True


class Decoding:
    """Decodes and compares the symbols of every slice with those of the sound files."""

    def __init__(self, model: Model, files: list[bytes]):
        self.model, self.known, self.seen = model, set(), []
        walk = latents._walk_steps

        def recording(*arguments):
            result = walk(*arguments)
            self.seen.append(result[0].checksum)
            return result

        latents._walk_steps = recording
        for data in files:
            decode_picture(data, model)
        self.known = set(self.seen)

    def __call__(self, data: bytes) -> bool:
        self.seen = []
        decode_picture(data, self.model, DecodeOptions(MAX_PIXELS))
        if not set(self.seen) <= self.known:
            raise AssertionError("decoded to symbols that no sound file holds")
        return True


def mutate_picture(data: bytes, rng: random.Random) -> bytes:
    return fuzz_pictures.mutated(data, rng, change_bytes)


def run(name: str, count: int, files: list[bytes], attempt, seed: int, mutate=mutate) -> None:
    rng = random.Random(seed)
    accepted = refused = 0
    slowest = 0.0
    for number in range(count):
        data = mutate(rng.choice(files), rng)
        started = time.process_time()
        try:
            attempt(data)
            accepted += 1
        except VaecodecError:
            refused += 1
        except BaseException:
            kept = Path(f"fuzz-{name}-{seed}-{number}.vae")
            kept.write_bytes(data)
            click.echo(f"{name}: input {number} kept as {kept}", err=True)
            raise
        slowest = max(slowest, time.process_time() - started)
        if slowest > MAX_SECONDS:
            Path(f"fuzz-{name}-{seed}-{number}.vae").write_bytes(data)
            sys.exit(f"{name}: input {number} took {slowest:.1f} s of processor time")
    outcome = "read" if name == "pictures" else "decoded to what they came from"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(
        f"{name}: {count} inputs, {refused} refused, {accepted} {outcome},"
        f" slowest {slowest:.2f} s, peak memory {memory:.0f} MiB"
    )


@click.command()
@click.option("--info", "info_count", default=10000, show_default=True)
@click.option("--decode", "decode_count", default=200, show_default=True)
@click.option("--pictures", "picture_count", default=2000, show_default=True)
@click.option("--model", type=Path, default=None)
@click.option("--seed", default=0, show_default=True)
def main(
    info_count: int, decode_count: int, picture_count: int, model: Path | None, seed: int
) -> None:
    """Run all."""
    pictures = fuzz_pictures.sample_pictures()
    run("pictures", picture_count, pictures, fuzz_pictures.try_picture, seed + 2, mutate_picture)
    loaded = load_model(model, "cpu")
    files = sample_files(loaded)
    run("info", info_count, files, try_info, seed)
    run("decode", decode_count, files, Decoding(loaded, files), seed + 1)


if __name__ == "__main__":
    assert CHUNK_BYTES and container.VERSION == 1, "mutations know this version of the format"
    main()
