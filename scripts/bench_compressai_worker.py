"""One measurement of CompressAI for bench_codecs.py and bench_train.py; runs where that is
installed.

    python bench_compressai_worker.py encode MODEL PIXELS.npy FILE      prints {"seconds", "bytes"}
    python bench_compressai_worker.py decode MODEL FILE PIXELS.npy      prints {"seconds"}
    python bench_compressai_worker.py train MODEL PIXELS.npy SECONDS  prints {"float32", "bfloat16"}

The weights are untrained, which changes neither the work of the network nor its memory. FILE is not
a format: the shapes, then the strings that the model returns.
"""

import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from compressai.zoo import image_models

QUALITY = 3  # N = 128, M = 192: the smaller network of the published ones
BATCH, CROP = 8, 256


def load(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = image_models[name](quality=QUALITY, pretrained=False)
    model.update()
    return model.eval()


def padded(pixels: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return F.pad(x, (0, -x.shape[3] % 64, 0, -x.shape[2] % 64), mode="replicate")


def encode(name: str, source: Path, target: Path) -> dict[str, float]:
    model, pixels = load(name), np.load(source)
    with torch.inference_mode():
        model.compress(torch.zeros(1, 3, 64, 64))  # warms up
        started = time.perf_counter()
        made = model.compress(padded(pixels))
        data = struct.pack("<4I", *pixels.shape[:2], *made["shape"])
        for (string,) in made["strings"]:
            data += struct.pack("<I", len(string)) + string
        seconds = time.perf_counter() - started
    target.write_bytes(data)
    return {"seconds": seconds, "bytes": len(data)}


def decode(name: str, source: Path, target: Path) -> dict[str, float]:
    model, data = load(name), source.read_bytes()
    with torch.inference_mode():
        model.decompress(**model.compress(torch.zeros(1, 3, 64, 64)))
        started = time.perf_counter()
        height, width, *shape = struct.unpack_from("<4I", data)
        strings, at = [], 16
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            strings.append([data[at + 4 : at + 4 + size]])
            at += 4 + size
        x = model.decompress(strings, shape)["x_hat"][0, :, :height, :width]
        pixels = (x * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        seconds = time.perf_counter() - started
    np.save(target, pixels)
    return {"seconds": seconds}


def train(name: str, source: Path, seconds: str) -> dict[str, float]:
    """Pixels per second of the loop of CompressAI's own example, crops given for nothing."""
    pixels = np.load(source)
    return {kind: speed(name, pixels, float(seconds), kind) for kind in ("float32", "bfloat16")}


def speed(name: str, pixels: np.ndarray, limit: float, kind: str) -> float:
    model = image_models[name](quality=QUALITY, pretrained=False).train()
    named = list(model.named_parameters())
    main = torch.optim.Adam([p for n, p in named if not n.endswith(".quantiles")], lr=1e-4)
    aux = torch.optim.Adam([p for n, p in named if n.endswith(".quantiles")], lr=1e-3)
    rng = np.random.default_rng(0)
    done, started = -2, time.perf_counter()  # the first two steps warm up
    while done < 2 or time.perf_counter() - started < limit:
        corners = rng.integers(0, np.array(pixels.shape[:2]) - CROP, (BATCH, 2))
        crops = np.stack([pixels[r : r + CROP, c : c + CROP] for r, c in corners])
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
        main.zero_grad()
        aux.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
            made = model(x)
        bits = sum(-made["likelihoods"][part].float().log2().sum() for part in ("y", "z"))
        loss = 0.0067 * 255**2 * F.mse_loss(made["x_hat"].float(), x) + bits / x[:, 0].numel()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        main.step()
        model.aux_loss().backward()
        aux.step()
        done += 1
        if done == 0:
            started = time.perf_counter()
    return done * BATCH * CROP**2 / (time.perf_counter() - started)


if __name__ == "__main__":
    action, model_name, *rest = sys.argv[1:]
    if action == "train":
        print(json.dumps(train(model_name, Path(rest[0]), rest[1])))
    else:
        print(
            json.dumps({"encode": encode, "decode": decode}[action](model_name, *map(Path, rest)))
        )
