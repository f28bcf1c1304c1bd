"""The float transforms of a model on torch: CPU, CUDA or MPS."""

import numpy as np
import torch
from torch import Tensor

from vaecodec.cores import CurrentThread
from vaecodec.entropy.coding_order import STEPS, pick_step, put_step
from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork
from vaecodec.entropy.scales import LEVEL_UNIT
from vaecodec.errors import UsageError
from vaecodec.forks import renew_after_fork
from vaecodec.inference.interfaces import NO_CUT, Cut, MeanPredictor
from vaecodec.network.config import BLOCK, NetworkConfig
from vaecodec.network.planes import to_array, to_planes
from vaecodec.network.vae import VAE, on_device
from vaecodec.network.weights import Weights, check_parameters, misfit


def choose_device(name: str) -> torch.device:
    """`auto`: CUDA if there, then MPS, else CPU. Raises UsageError for a device that is not
    there."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        raise UsageError(f"device {name!r} is not available here; use device auto")
    return torch.device(name)


def gpu_names() -> list[str]:
    """The GPUs that torch finds, in its order."""
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return names + ["Apple GPU"] * torch.backends.mps.is_available()


def thread_count() -> int:
    """Threads that torch computes with on a CPU."""
    return torch.get_num_threads()


class TorchTransforms:
    """Implements Transforms. Computes in float32; TF32 is switched off for its own work."""

    backend = "torch"

    def __init__(self, weights: Weights, device: str = "auto"):
        self.device = choose_device(device)
        check_parameters(weights)
        try:
            network = VAE(NetworkConfig(**weights.config))  # torch's meta device takes seconds
            state = {
                name: torch.from_numpy(array) for name, array in weights.float_parameters().items()
            }
            # The integer scale network runs on numpy; its float twin is for training only.
            del network.scale_network
            network.load_state_dict(state, assign=True)
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise misfit(str(error).splitlines()[0]) from None
        self.network = on_device(network, self.device).eval()
        self._reduced = {
            name: torch.from_numpy(array.astype(np.float32)).to(self.device)
            for name, array in weights.reduced.items()
        }
        self._scale_parameters = weights.scale_parameters
        self._thread = CurrentThread()
        renew_after_fork(self)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    def after_fork(self) -> None:
        """One thread at a time: OpenMP would wait for the others, which are not here."""
        torch.set_num_threads(1)

    @property
    def workers(self) -> int:
        if self.device.type == "cpu" or self._thread.is_worker:
            return self._thread.cores
        return 2

    def start_worker(self) -> None:
        """Called in each thread of several that work at the same time."""
        self._thread.is_worker = True
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    def foresee_synthesis(self, scale: int = 1) -> None:
        """The network is there already."""

    def foresee_coding(self) -> None:
        """All of it."""

    @torch.inference_mode()
    def analyse(self, x: np.ndarray | Tensor, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return to_array(self.network.analyse(self._in(x), self._t(level), cut))

    @torch.inference_mode()
    def analyse_fine(self, x: np.ndarray | Tensor, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return to_array(self.network.analyse_fine(self._in(x), self._t(level), cut))

    @torch.inference_mode()
    def analyse_coarse(self, h: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return to_array(self.network.analyse_coarse(self._in(h), self._t(level), cut))

    @torch.inference_mode()
    def hyper_analyse(self, y: np.ndarray, level: int) -> np.ndarray:
        return to_array(self.network.hyper_analyse(self._in(y), self._t(level)))

    @torch.inference_mode()
    def mean_predictor(self, z: np.ndarray, level: int, size: tuple[int, int]) -> MeanPredictor:
        features = self.network.hyper_synthesise(self._in(z), self._t(level))
        return _MeanPredictor(self.network, features[..., : size[0], : size[1]])

    def synthesise(
        self, y_hat: np.ndarray, level: int, scale: int = 1, cut: Cut = NO_CUT
    ) -> np.ndarray:
        return self.synthesise_tensor(y_hat, level, scale, cut).contiguous().cpu().numpy()

    @torch.inference_mode()
    def synthesise_tensor(
        self, y_hat: np.ndarray, level: int, scale: int = 1, cut: Cut = NO_CUT
    ) -> Tensor:
        """The same, `[H, W, 3]`, left on the device."""
        y, t = self._in(y_hat), self._t(level)
        if scale == BLOCK and self._reduced:
            x = self.network.synthesise_reduced(y, t, self._reduced, cut)
        else:
            x = self.network.synthesise(y, t, scale, cut)
        result: Tensor = x[0].permute(1, 2, 0).float()
        return result

    def scale_network(self) -> IntegerScaleNetwork:
        return IntegerScaleNetwork(self._scale_parameters)

    @torch.inference_mode()
    def gain(self, level: int) -> np.ndarray:
        result: np.ndarray = self.network.gain(self._t(level)).reshape(-1).cpu().numpy()
        return result

    def _t(self, level: int) -> Tensor:
        return torch.tensor([level / LEVEL_UNIT], device=self.device)

    def _in(self, array: np.ndarray | Tensor) -> Tensor:
        return to_planes(array, self.device)


class _MeanPredictor:
    """Implements MeanPredictor. Computes all channels at all positions, as training does."""

    def __init__(self, network: VAE, features: Tensor):
        self._network, self._features = network, features
        self._size = features.shape[2], features.shape[3]
        # What the context network sees: y_hat, squashed, and which groups are known where.
        self._context = np.zeros((*self._size, network.config.m + STEPS), np.float32)
        self._step_scale: np.ndarray | None = None
        if network.config.elementwise:
            self._step_scale = to_array(network.step_scale(features))

    @torch.inference_mode()
    def predict(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        known = to_planes(self._context, self._features.device) if step else None
        mean = to_array(self._network.predict_mean(self._features, known))
        finer = None if self._step_scale is None else pick_step(self._step_scale, step)
        return pick_step(mean, step), finer

    def add(self, y: np.ndarray, step: int) -> None:
        put_step(self._context[:, :, :-STEPS], step, np.sign(y) * np.log1p(np.abs(y)))
        put_step(self._context[:, :, -STEPS:], step, np.ones((*self._size, 1), np.float32))
