"""Pictures drawn from the model: the same for a seed, valid files, and what `--like` keeps."""

import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.codec import sampling as sample
from vaecodec.codec import slice_coder as latents
from vaecodec.codec.decoder import decode_picture, verify_file
from vaecodec.codec.encoder import EncodeOptions, encode_picture
from vaecodec.entropy.coder import TableSet
from vaecodec.format.container import (
    GAIN_MAP_TYPE,
    Header,
    pack_chunks,
    pack_header,
    read_chunks,
    read_header,
)
from vaecodec.inference.model import Model
from vaecodec.picture.picture import Picture


@pytest.fixture
def run(tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> Result:
        arguments = ["sample", "--model", tiny_model_path, *words]
        return CliRunner().invoke(main, [str(word) for word in arguments])

    return command


def z_of(data: bytes, model: Model) -> list[np.ndarray]:
    """The hyper-latents of each slice."""
    file = io.BytesIO(data)
    header = read_header(file)
    found = []
    for (rows, columns), (_, chunk) in zip(
        sample.SliceGrid(header.height, header.width, model.halo),
        read_chunks(file, header),
        strict=True,
    ):
        decoder = sample.Decoder(sample.unpack_slice(chunk)[1])
        size = rows.stop - rows.start, columns.stop - columns.start
        found.append(latents.decode_z(model, decoder.pop, size, header.level))
    return found


def test_a_seed_always_draws_the_same(tiny_model: Model):
    drawn = [sample.draw_file(tiny_model, (70, 50), 600, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_drawn_is_a_valid_file_of_any_size(tiny_model: Model):
    """Over a slice's edge, too, where the second slice draws something else."""
    for size in [(1, 1), (33, 17), (1100, 40)]:
        data = sample.draw_file(tiny_model, size, 900, 5)
        verify_file(io.BytesIO(data), tiny_model)
        pixels = decode_picture(data, tiny_model).pixels
        assert pixels.shape == (size[1], size[0], 3)
    assert pixels[:, :60].std() > 1 and (pixels[:, :60] != pixels[:, 1024:1084]).any()


def test_symbols_are_drawn_as_often_as_the_tables_say():
    weights = np.array([0.1, 0.6, 0.25, 0.05]) * (1 << 24)  # of -1, 0, 1 and the escape
    tables = TableSet([weights.astype(np.int32) - 1])
    drawn = sample._Dice(0, 0).pop(tables, np.zeros(100_000, int))
    shares = [(drawn == value).mean() for value in (-1, 0, 1)]
    assert shares == pytest.approx(np.array([0.1, 0.6, 0.25]) / 0.95, abs=0.005)
    assert set(drawn.tolist()) == {-1, 0, 1}


def test_like_keeps_what_matters_in_the_picture(tiny_model: Model):
    """Of a file with a gain map the map, in which z and the tables of y were chosen."""
    mask = np.zeros((96, 160), np.uint8)
    mask[:, 80:] = 255
    options = EncodeOptions(700, roi=mask)
    data = encode_picture(Picture(make_photo(96, 160)), tiny_model, options)
    drawn = sample.redraw_file(io.BytesIO(data), tiny_model, 3)
    verify_file(io.BytesIO(drawn), tiny_model)
    maps = []
    for file in map(io.BytesIO, (data, drawn)):
        chunks = read_chunks(file, read_header(file))
        maps.append([chunk.payload for _, chunk in chunks if chunk.type == GAIN_MAP_TYPE])
    assert maps[0] == maps[1] and len(maps[0]) == 1


def test_like_keeps_size_quality_and_z_of_each_slice(tiny_model: Model):
    photo = make_photo(40, 1100)
    data = encode_picture(Picture(photo), tiny_model, EncodeOptions(700))
    drawn = sample.redraw_file(io.BytesIO(data), tiny_model, 3)
    header = read_header(io.BytesIO(drawn))
    assert header == read_header(io.BytesIO(data))
    kept = zip(z_of(data, tiny_model), z_of(drawn, tiny_model), strict=True)
    assert all((before == after).all() for before, after in kept)
    other = decode_picture(drawn, tiny_model).pixels
    assert (other != decode_picture(data, tiny_model).pixels).any()


def test_like_of_a_hostile_file_ends_well(tiny_model: Model, monkeypatch: pytest.MonkeyPatch):
    """Values of z that no table holds, far beyond what the coder takes."""
    z = np.full((1, 1, tiny_model.weights.config["cz"]), 1 << 22)
    monkeypatch.setattr("vaecodec.entropy.coder.MAX_SYMBOL", 1 << 23)
    symbols = latents.Symbols(z + 100, [])
    header = Header(16, 16, "RGB", 0, tiny_model.model_id)
    data = pack_header(header) + pack_chunks([latents.encode_slice(tiny_model, symbols, 0)])
    monkeypatch.undo()
    drawn = sample.redraw_file(io.BytesIO(data), tiny_model, 1)
    assert np.abs(z_of(drawn, tiny_model)[0]).max() <= 1 << 22


def test_command_writes_pictures_named_by_their_seeds(run, tmp_path: Path):
    result = run("--size", "60x40", "--seed", 7, "-n", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("sample-7.png: seed 7, ")
    sizes = [Image.open(tmp_path / f"sample-{seed}.png").size for seed in (7, 8)]
    assert sizes == [(60, 40)] * 2
    (tmp_path / "one").mkdir()
    assert run("--size", "60x40", "--seed", 8, "-o", "one").exit_code == 0
    again = (tmp_path / "one" / "sample-8.png").read_bytes()
    assert again == (tmp_path / "sample-8.png").read_bytes()


def test_vae_file_holds_the_same_picture(run, tmp_path: Path, tiny_model: Model):
    for name in ("a.vae", "a.png"):
        assert run("--size", "60x40", "--seed", 3, "-q", 30, "-o", name).exit_code == 0
    decoded = decode_picture((tmp_path / "a.vae").read_bytes(), tiny_model).pixels
    assert (decoded == np.asarray(Image.open(tmp_path / "a.png"))).all()


def test_without_a_seed_each_is_new_and_says_which(run, tmp_path: Path):
    for _ in range(2):
        assert run("--size", "20x20").exit_code == 0
    assert len(list(tmp_path.glob("sample-*.png"))) == 2


@pytest.mark.parametrize(
    "words, fault",
    [
        (["--size", "200000x200000"], "over the limit"),
        (["--size", "0x20"], "not a width and a height"),
        (["-n", 2, "-o", "a.png"], "need one"),
        (["-o", "a.txt"], "cannot write pictures"),
        (["--like", "none.vae"], "no such file"),
        (["--like", "none.vae", "-q", 50], "leave out"),
    ],
)
def test_wrong_usage(run, tmp_path: Path, words: list, fault: str):
    result = run(*words)
    assert result.exit_code == 2 and fault in result.stderr
    assert list(tmp_path.iterdir()) == []
