"""Threads and forks: the library leaves the cores and the processes of its host alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaecodec import cores
from vaecodec.entropy.integer_scale_network import IntegerScaleNetwork

# Several threads of numpy are there only where it is imported without a limit in the environment.
PROGRAM = """
import os, threading
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.pop(name, None)
import numpy
from threadpoolctl import threadpool_info, threadpool_limits
from vaecodec.cores import single_blas_thread

def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

threadpool_limits(2, "blas")
before, entered, leave = threads(), threading.Event(), threading.Event()

def first():
    with single_blas_thread:
        entered.set()
        leave.wait()

thread = threading.Thread(target=first)
thread.start()
entered.wait()
with single_blas_thread:
    both_inside = threads()
    leave.set()
    thread.join()
    one_inside = threads()
print(set(before), set(both_inside), set(one_inside), set(threads()))
"""


def test_products_take_one_thread_and_give_the_others_back():
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout in ("{2} {1} {1} {2}\n", "set() set() set() set()\n")


def test_the_scale_network_computes_so(tiny_model, monkeypatch):
    asked = []
    monkeypatch.setattr(type(cores.single_blas_thread), "__enter__", lambda self: asked.append(1))
    monkeypatch.setattr(type(cores.single_blas_thread), "__exit__", lambda *_: None)
    network = IntegerScaleNetwork(tiny_model.weights.scale_parameters)
    sums = network.prepare(np.zeros((2, 2, tiny_model.weights.config["cz"])), 0, (8, 8))
    network.add_context(sums, np.zeros((8, 8, network.m // 4), np.int32), 0)
    network.indices(sums, (8, 8), 0, 0)
    assert len(asked) == 3


FORKED = """
import os, sys, numpy, vaecodec

codec = vaecodec.Codec(sys.argv[1], "cpu", sys.argv[3])
picture = numpy.zeros((40, 40, 3), numpy.uint8)
data = codec.encode(picture)
child = os.fork()
if child == 0:
    sys.exit(0 if sys.argv[2] == "rest" or codec.encode(picture) == data else 1)
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("what", ["rest", "encode"])
def test_a_forked_child_may_end_and_may_encode(tiny_model_path: Path, what: str, backend: str):
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [sys.executable, "-c", FORKED, str(tiny_model_path), what, backend]
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
