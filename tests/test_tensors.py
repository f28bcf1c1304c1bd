"""Pictures as torch tensors: coded as arrays are, without a way over numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photo

import vaecodec
from vaecodec.codec.tensors import picture_of_tensor
from vaecodec.errors import PictureError
from vaecodec.inference.torch_backend import TorchTransforms
from vaecodec.picture.picture import Picture

PHOTO = make_photo(60, 84, seed=4)
GREY = PHOTO[:, :, 1]


@pytest.fixture(params=["torch", "onnx"])
def codec(tiny_model_path: Path, request: pytest.FixtureRequest) -> vaecodec.Codec:
    return vaecodec.Codec(tiny_model_path, "cpu", request.param)


@pytest.mark.parametrize("array", [PHOTO, GREY], ids=["colour", "grey"])
def test_tensors_give_the_files_of_arrays(codec: vaecodec.Codec, array: np.ndarray):
    planes = torch.atleast_3d(torch.from_numpy(array)).permute(2, 0, 1)
    expected = codec.encode(array, quality=70)
    assert codec.encode(planes, quality=70) == expected
    assert codec.encode(planes.double() / 255, quality=70) == expected
    assert codec.encode_batch([planes, array], quality=70) == [expected] * 2
    for target in ({"target_psnr": 30}, {"target_size": 700}):
        assert codec.encode(planes, **target) == codec.encode(array, **target)


@pytest.mark.parametrize("array", [PHOTO, GREY, np.dstack([PHOTO, GREY])], ids=["RGB", "L", "RGBA"])
def test_decoded_tensors_hold_the_decoded_pictures(codec: vaecodec.Codec, array: np.ndarray):
    data = codec.encode(array, passphrase="secret")
    where = {"region": (16, 8, 40, 32), "scale": 2, "passphrase": "secret"}
    for options in ({"passphrase": "secret"}, where):
        tensor = codec.decode_tensor(data, **options)
        image = np.asarray(codec.decode(data, **options))
        assert tensor.dtype == torch.uint8
        np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), np.atleast_3d(image))


def test_sixteen_bits(codec: vaecodec.Codec):
    pixels = PHOTO.astype(np.uint16) * 257
    data = codec.encode(Picture(pixels, alpha=GREY))
    tensor = codec.decode_tensor(data)
    assert tensor.dtype == torch.uint16 and tensor.shape == (4, 60, 84)
    picture = codec.decode_picture(data)
    np.testing.assert_array_equal(tensor[:3].permute(1, 2, 0).numpy(), picture.pixels)
    np.testing.assert_array_equal(tensor[3].numpy(), GREY.astype(np.uint16) * 257)


def test_pixels_stay_tensors(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    analyse = TorchTransforms.analyse

    def watched(self: TorchTransforms, x: torch.Tensor, *others: object) -> np.ndarray:
        seen.append(type(x))
        return analyse(self, x, *others)

    monkeypatch.setattr(TorchTransforms, "analyse", watched)
    monkeypatch.setattr(TorchTransforms, "synthesise", None)  # the way to numpy
    codec = vaecodec.Codec(tiny_model_path, "cpu", "torch")
    codec.decode_tensor(codec.encode(torch.from_numpy(PHOTO).permute(2, 0, 1)))
    assert seen == [torch.Tensor]


@pytest.mark.parametrize("factor", [1, 7, 8])
def test_previews_are_those_of_arrays(factor: int):
    tensor = torch.from_numpy(PHOTO).permute(2, 0, 1)
    reduced = picture_of_tensor(tensor, "cpu").reduced(factor).pixels
    expected = Picture(PHOTO).reduced(factor).pixels
    assert reduced.shape == expected.shape
    assert np.abs(reduced.astype(int) - expected).max() <= 1  # they round in different orders


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(60, 84, 3), torch.zeros(3, 8, 8, dtype=torch.int32), torch.zeros(3, 0, 8)],
)
def test_tensors_that_are_no_pictures(codec: vaecodec.Codec, tensor: torch.Tensor):
    with pytest.raises(PictureError, match="of shape .* is not"):
        codec.encode(tensor)
