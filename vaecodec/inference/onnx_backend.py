"""The float transforms of a model on ONNX Runtime: CPUs, without the start-up time of torch."""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

# Read when ONNX Runtime is imported, which happens here alone: without it versions from 1.29 on
# write a device id below the user's home and look up a collector's host.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

from vaecodec.cores import CurrentThread
from vaecodec.entropy.coding_order import groups_of_phases
from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork
from vaecodec.entropy.scales import LEVEL_UNIT
from vaecodec.forks import renew_after_fork
from vaecodec.inference.interfaces import NO_CUT, Cut, MeanPredictor
from vaecodec.inference.onnx_graphs import HAVE_LIMBS, graph_bytes
from vaecodec.inference.onnx_scale_network import SCALE_GRAPHS, OnnxScaleNetwork, fits
from vaecodec.network.config import BLOCK
from vaecodec.network.weights import Weights, check_parameters
from vaecodec.processor import processor_features

# Of inputs that are not float32.
_DTYPES = {"groups": np.int64, "cut": np.int64, "codes": np.uint8, "totals": np.int32}
_FEWEST_HIDDEN = 64  # channels of residual blocks, a row of a matrix unit's tile


class OnnxTransforms:
    """Implements Transforms. Graphs are made from the weights when they are first needed.

    Raises ModelError.
    """

    backend, device = "onnx", "cpu"

    def __init__(self, weights: Weights, in_limbs: bool | None = None):
        """`in_limbs`: compute in bytes what can be (onnx_limbs); by default where that is
        faster."""
        check_parameters(weights)
        self._in_limbs = _likes_limbs(weights) if in_limbs is None else in_limbs
        self._weights = weights
        self._sessions: dict[tuple[str, bool], Future[onnxruntime.InferenceSession]] = {}
        self._lock = threading.Lock()
        self._thread = CurrentThread()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Sessions are made anew. The old ones, whose threads are not here, would wait for these
        when they are destroyed, and so never are."""
        for session in self._sessions.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
        self._sessions = {}
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        return self._thread.cores

    def start_worker(self) -> None:
        """Called in each thread of several that work at the same time."""
        self._thread.is_worker = True

    def foresee_synthesis(self, scale: int = 1) -> None:
        """Another core makes the session: a tenth of what a small picture's decode takes."""
        self._foresee([self._synthesis_graph(scale)])

    def foresee_coding(self) -> None:
        """Another core makes the sessions: a tenth of what a small picture's encode takes."""
        graphs = ["hyper_analysis", "hyper_synthesis", "mean", "context"]
        graphs += ["step_scale"] if self._weights.config["elementwise"] else []
        self._foresee(graphs + (list(SCALE_GRAPHS) if self._in_limbs else []))

    def _foresee(self, graphs: list[str]) -> None:
        missing = [graph for graph in graphs if (graph, False) not in self._sessions]

        def make() -> None:
            for graph in missing:
                self._promised_session(graph)

        if self._thread.cores > 1 and missing:
            threading.Thread(target=make).start()

    def analyse(self, x: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return self._run("analysis", level, x=x, cut=np.array(cut))

    def analyse_fine(self, x: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return self._run("analysis_fine", level, x=x, cut=np.array(cut))

    def analyse_coarse(self, h: np.ndarray, level: int, cut: Cut = NO_CUT) -> np.ndarray:
        return self._run("analysis_coarse", level, h=h, cut=np.array(cut))

    def hyper_analyse(self, y: np.ndarray, level: int) -> np.ndarray:
        return self._run("hyper_analysis", level, y=y)

    def mean_predictor(self, z: np.ndarray, level: int, size: tuple[int, int]) -> MeanPredictor:
        sums = self._run("hyper_synthesis", level, z=z)
        return _MeanPredictor(self._run, sums, size, self._weights.config["elementwise"] > 0)

    def synthesise(
        self, y_hat: np.ndarray, level: int, scale: int = 1, cut: Cut = NO_CUT
    ) -> np.ndarray:
        graph = self._synthesis_graph(scale)
        x = self._run(graph, level, y_hat=y_hat, cut=np.array(cut))
        if scale == 1 or graph == "reduced_synthesis":
            return x
        height, width = x.shape[:2]
        result: np.ndarray = x.reshape(height // scale, scale, width // scale, scale, 3).mean(
            (1, 3)
        )
        return result

    def scale_network(self) -> IntegerScaleNetwork:
        parameters = self._weights.scale_parameters
        network = IntegerScaleNetwork(parameters)
        if self._in_limbs and fits(parameters):
            return OnnxScaleNetwork(parameters, self._run)
        return network

    def gain(self, level: int) -> np.ndarray:
        """In numpy, which takes less time than to make a session."""
        table = self._weights.float_parameter("log_gain.values")
        anchors = np.arange(len(table), dtype=np.float32)
        weights = np.maximum(1 - np.abs(level / LEVEL_UNIT - anchors), 0)
        gain: np.ndarray = np.exp(weights @ table) * self._weights.float_parameter("y_scale")
        return gain.astype(np.float32)

    def _synthesis_graph(self, scale: int) -> str:
        is_reduced = scale == BLOCK and len(self._weights.reduced) > 0
        return "reduced_synthesis" if is_reduced else "synthesis"

    def _run(self, name: str, level: int | None = None, **inputs: np.ndarray) -> np.ndarray:
        feeds = {
            n: np.ascontiguousarray(array, _DTYPES.get(n, np.float32))
            for n, array in inputs.items()
        }
        if level is not None:
            feeds["t"] = np.array([level / LEVEL_UNIT], np.float32)
        result: np.ndarray = self._session(name).run(None, feeds)[0]
        return result

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        return self._promised_session(name).result()

    def _promised_session(self, name: str) -> "Future[onnxruntime.InferenceSession]":
        """The session of a graph, made by the first thread that asks; of two kinds, as a worker
        among several has one core for itself."""
        key = name, self._thread.is_worker
        with self._lock:
            is_new = key not in self._sessions
            session = self._sessions.setdefault(key, Future())
        if is_new:
            self._make_session(name, self._thread.cores, session)
        return session

    def _make_session(
        self, name: str, cores: int, result: "Future[onnxruntime.InferenceSession]"
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of constants that it fused away
        options.intra_op_num_threads = cores  # named, as by default it pins a thread to each
        # Of limbs it finds nothing to make faster, in as long as all else takes.
        level, in_limbs = onnxruntime.GraphOptimizationLevel, self._in_limbs and name in HAVE_LIMBS
        options.graph_optimization_level = (
            level.ORT_DISABLE_ALL if in_limbs else level.ORT_ENABLE_ALL
        )
        # Threads that wait busily would take the cores from what numpy does in between.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", str(int(_memory.is_shared)))
        try:
            graph = graph_bytes(self._weights, name, self._in_limbs)
            result.set_result(
                onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            )
        except BaseException as error:  # for all who wait; who comes later tries again
            with self._lock:
                self._sessions = {key: s for key, s in self._sessions.items() if s is not result}
            result.set_exception(error)


def _likes_limbs(weights: Weights) -> bool:
    """Of few channels limbs take longer than floats, and with VNNI alone they take as long."""
    return "AMX" in processor_features() and weights.config["h1"] >= _FEWEST_HIDDEN


class _Memory:
    """One pool for all sessions of the process, whose peak is that of the largest instead of the
    sum of all: a third less where large pictures are encoded."""

    def __init__(self) -> None:
        kind, use = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
        try:
            onnxruntime.create_and_register_allocator(
                onnxruntime.OrtMemoryInfo("Cpu", kind, 0, use), None
            )
            self.is_shared = True
        except RuntimeError:  # the program that this is part of has made one
            self.is_shared = False
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Each session has its own: a thread that is not here may hold the pool's lock."""
        self.is_shared = False


_memory = _Memory()


class _MeanPredictor:
    """Implements MeanPredictor. Keeps `sums` (see onnx_graphs) as ONNX Runtime leaves them."""

    def __init__(
        self, run: Callable[..., np.ndarray], sums: np.ndarray, size: tuple[int, int], scales: bool
    ):
        rows, columns = (-(-side // 2) for side in size)
        self._run, self._size, self._scales = run, size, scales
        self._first = self._sums = np.ascontiguousarray(sums[:, :rows, :columns])

    def predict(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        height, width = self._size
        groups = np.array(groups_of_phases(step))
        mean = self._run("mean", sums=self._sums, groups=groups)[:height, :width]
        if not self._scales:
            return mean, None
        return mean, self._run("step_scale", sums=self._first, groups=groups)[:height, :width]

    def add(self, y: np.ndarray, step: int) -> None:
        groups = np.array(groups_of_phases(step))
        self._sums = self._run("context", sums=self._sums, y=y, groups=groups)
