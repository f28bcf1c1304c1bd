"""The plain coder reads and writes the very words of constriction's, which files are made of."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vaecodec.__main__ import main
from vaecodec.entropy import ans, coder
from vaecodec.errors import FormatError
from vaecodec.network.weight_files import shipped_weights_path
from vaecodec.network.weights import load_weights

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = Path(__file__).parents[1] / "scripts"
NOTE = "vaecodec: coding is slower without the package constriction, which is not installed here\n"

WEIGHTS = load_weights(shipped_weights_path())
TABLES = [*WEIGHTS.y_tables, *WEIGHTS.z_tables]
numbers = st.integers(0, len(TABLES) - 1)
words = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3), max_size=12)
# What calls of Encoder.push get: symbols, most of them small and some beyond their table, with the
# numbers of their tables.
calls = st.lists(
    st.lists(
        st.tuples(st.integers(-2, 2) | st.integers(-coder.MAX_SYMBOL, coder.MAX_SYMBOL), numbers),
        max_size=40,
    ),
    max_size=3,
)


@pytest.fixture(scope="module")
def theirs():
    constriction = pytest.importorskip("constriction", reason="has no wheel for Linux on ARM64")
    stream = constriction.stream
    return stream.stack.AnsCoder, partial(stream.model.Categorical, perfect=False)


@pytest.fixture(scope="module")
def models(theirs) -> list[tuple[object, ans.Categorical]]:
    """Of every table, the model of both coders."""
    floats = [table.astype(np.float64) for table in TABLES]
    return [(theirs[1](table), ans.Categorical(table)) for table in floats]


def test_every_entry_of_every_table_of_the_shipped_model_is_coded_alike(theirs, models):
    for table, (their_model, our_model) in zip(TABLES, models, strict=True):
        entries = np.random.default_rng(0).permutation(len(table)).astype(np.int32)
        their_coder, our_coder = theirs[0](), ans.AnsCoder()
        their_coder.encode_reverse(entries, their_model)
        our_coder.encode_reverse(entries, our_model)
        data = our_coder.get_compressed()
        assert data.dtype == np.uint32
        np.testing.assert_array_equal(data, their_coder.get_compressed())
        np.testing.assert_array_equal(our_coder.decode(our_model, len(entries)), entries)
        reader = ans.AnsCoder(data)
        np.testing.assert_array_equal(reader.decode(our_model, len(entries)), entries)
        assert our_coder.is_empty() and reader.is_empty()


@given(st.lists(st.tuples(numbers, st.lists(st.floats(0, 1), max_size=60)), max_size=5))
def test_any_message_in_any_tables_becomes_the_same_words(theirs, models, message):
    their_coder, our_coder = theirs[0](), ans.AnsCoder()
    for number, places in message:
        last = len(TABLES[number]) - 1
        entries = np.array([round(place * last) for place in places], np.int32)
        their_coder.encode_reverse(entries, models[number][0])
        our_coder.encode_reverse(entries, models[number][1])
        np.testing.assert_array_equal(our_coder.get_compressed(), their_coder.get_compressed())
    assert our_coder.is_empty() == their_coder.is_empty()


@given(words, st.lists(st.tuples(numbers, st.integers(0, 60)), max_size=4))
def test_any_words_become_the_same_entries_or_the_same_fault(theirs, models, data, wanted):
    data = np.array(data, np.uint32)
    if len(data) and data[-1] == 0:
        for make in (theirs[0], ans.AnsCoder):
            with pytest.raises(ValueError, match="zero word"):
                make(data)
        return
    their_coder, our_coder = theirs[0](data), ans.AnsCoder(data)
    for number, count in wanted:
        np.testing.assert_array_equal(
            our_coder.decode(models[number][1], count), their_coder.decode(models[number][0], count)
        )
        np.testing.assert_array_equal(our_coder.get_compressed(), their_coder.get_compressed())
        assert our_coder.is_empty() == their_coder.is_empty()


class Coders:
    """`entropy.coder` as it is with one of the two coders."""

    def __init__(self, make_coder, make_model):
        uniform = make_model(np.full(4096, 4095.0))
        names = {"_AnsCoder": make_coder, "_Categorical": make_model, "_UNIFORM": uniform}
        self._chosen = patch.multiple(coder, **names)
        self._tables = coder.TableSet(TABLES)

    def encode(self, arrays: list[np.ndarray]) -> bytes:
        with self._chosen:
            encoder = coder.Encoder()
            for array in arrays:
                encoder.push(self._tables, array[:, 0], array[:, 1])
            return encoder.finish()

    def decode(self, data: bytes, arrays: list[np.ndarray]) -> list[list[int]] | str:
        """The symbols, or what the fault says."""
        with self._chosen:
            try:
                decoder = coder.Decoder(data)
                symbols = [decoder.pop(self._tables, array[:, 1]).tolist() for array in arrays]
                decoder.finish()
            except FormatError as error:
                return str(error)
        return symbols


@pytest.fixture(scope="module")
def both(theirs) -> tuple[Coders, Coders]:
    return Coders(*theirs), Coders(ans.AnsCoder, ans.Categorical)


@given(calls, st.integers(0, 8), st.binary(max_size=4))
def test_symbols_with_escapes_and_damaged_data_are_alike(both, calls, lost, added):
    arrays = [np.array(call, np.int64).reshape(-1, 2) for call in calls]
    their_data, our_data = (coders.encode(arrays) for coders in both)
    assert our_data == their_data
    symbols = [array[:, 0].tolist() for array in arrays]
    assert [coders.decode(our_data, arrays) for coders in both] == [symbols, symbols]
    damaged = our_data[4 * lost :] + added * (len(added) == 4)
    their_outcome, our_outcome = (coders.decode(damaged, arrays) for coders in both)
    assert our_outcome == their_outcome


@pytest.mark.parametrize("weights", [[5, 2**24 - 8], [2**24 - 2], [-1, 2**24 - 1]])
def test_weights_that_would_be_scaled_are_refused(weights: list[int]):
    with pytest.raises(ValueError, match="total"):
        ans.Categorical(np.array(weights))


@pytest.mark.parametrize("entry", [-1, 2])
def test_entries_outside_the_table_are_refused_by_both(theirs, entry: int):
    weights = np.array([5.0, 2**24 - 7.0])
    for make_coder, make_model in (theirs, (ans.AnsCoder, ans.Categorical)):
        with pytest.raises(KeyError):
            make_coder().encode_reverse(np.array([entry], np.int32), make_model(weights))


@pytest.fixture
def run_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs Python in a process that cannot import constriction."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['constriction'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    return run


def test_golden_files_decode_to_their_symbols_without_constriction(run_without):
    done = run_without(SCRIPTS / "check_golden.py")
    count = len(list(GOLDEN.glob("*.vae")))
    assert "words by entropy/ans" in done.stdout
    assert f"{count} of {count} golden files" in done.stdout


def test_the_command_decodes_without_constriction_and_says_once_that_it_is_slower(
    run_without, tmp_path: Path
):
    out, model = tmp_path / "out.png", GOLDEN / "model.safetensors"
    decode = ("-m", "vaecodec", "decode", "--model", model, "--jobs", 2)
    done = run_without(*decode, GOLDEN / "high.vae", "-o", out)
    assert done.stderr == NOTE
    expected = np.load(GOLDEN / "pixels.npz")["high"].astype(int)
    assert np.abs(np.asarray(Image.open(out)).astype(int) - expected).max() <= 1
    (tmp_path / "many").mkdir()
    done = run_without(*decode, GOLDEN / "high.vae", GOLDEN / "low.vae", "-o", tmp_path / "many")
    assert done.stderr == NOTE


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_scripts_hear_nothing_of_it(run_without, tmp_path: Path, option: str):
    decode = ("-m", "vaecodec", "decode", "--model", GOLDEN / "model.safetensors")
    done = run_without(*decode, GOLDEN / "dot.vae", "-o", tmp_path / "dot.png", option)
    assert done.stderr == ""


def test_files_encoded_without_constriction_are_the_same_bytes(
    run_without, photo_path: Path, tmp_path: Path
):
    arguments = [str(photo_path), "--model", str(GOLDEN / "model.safetensors"), "-o"]
    CliRunner().invoke(main, ["encode", *arguments, str(tmp_path / "with.vae")])
    run_without("-m", "vaecodec", "encode", *arguments, tmp_path / "without.vae")
    assert (tmp_path / "with.vae").read_bytes() == (tmp_path / "without.vae").read_bytes()


def test_python_users_get_a_warning_that_they_can_filter(run_without):
    program = "import vaecodec.api, warnings; from vaecodec.errors import VaecodecWarning"
    done = run_without("-c", program)
    assert done.stderr.count("VaecodecWarning: coding is slower") == 1
    done = run_without("-W", "ignore", "-c", program)
    assert done.stderr == ""
