"""At home in a shell: completion, help on topics, colours, and what the desktop is told."""

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from PIL import Image

from vaecodec.__main__ import COMMANDS, main
from vaecodec.commands.help import topics
from vaecodec.format.container import MAGIC

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "vaecodec"]


def completions(*words: str) -> list[str]:
    """What bash is offered for the last of the words, by a process in which torch would fail."""
    program = "import sys; sys.modules['torch'] = None; from vaecodec.__main__ import main; "
    environment = {
        **os.environ,
        "_VAECODEC_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["vaecodec", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", program + "main(prog_name='vaecodec')"],
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_completion():
    assert completions("enc") == ["plain,encode"]
    assert completions("decode", "--sca") == ["plain,--scale"]
    assert set(completions("decode", "--backend", "")) == {
        "plain,auto",
        "plain,onnx",
        "plain,torch",
    }
    assert completions("encode", "photo") == ["file,photo"], "files are left to the shell"
    assert completions("help", "qual") == ["plain,quality"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_completion_that_help_names(shell: str):
    assert f"_VAECODEC_COMPLETE={shell}_source vaecodec" in help_on("completion")
    environment = {**os.environ, "_VAECODEC_COMPLETE": f"{shell}_source"}
    script = subprocess.run(COMMAND, env=environment, capture_output=True, text=True)
    assert script.returncode == 0 and f"_VAECODEC_COMPLETE={shell}_complete" in script.stdout
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script.stdout, text=True).returncode == 0


def help_on(*topic: str) -> str:
    result = CliRunner().invoke(main, ["help", *topic])
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_the_first_sentence_of_a_command(name: str):
    listed = CliRunner().invoke(main, ["--help"]).output
    text = " ".join(help_on(name).split())
    _, sentence = COMMANDS[name]
    assert re.search(rf"^  {name} +{re.escape(sentence)}$", listed, re.MULTILINE)
    assert re.match(rf"Usage: main {name}( [A-Z.\[\]]+)* {re.escape(sentence)} ", text)


def test_help_imports_no_command_and_a_command_no_other():
    program = "import sys; from vaecodec.__main__ import main; sys.stdout = sys.stderr\n"
    program += "try: main(sys.argv[1:])\n"
    program += "finally: print(*sys.modules, file=sys.__stdout__)"
    for words, expected in ((["--help"], set()), (["info", "-h"], {"vaecodec.commands.info"})):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True
        )
        loaded = set(done.stdout.split())
        assert {name for name in loaded if name.startswith("vaecodec.commands.")} == expected
        assert not loaded & {"numpy", "PIL", "tempfile", "concurrent"}


def test_help_lists_and_explains_topics():
    listed = help_on()
    assert {"format", "quality", "models", "training", "exit-codes"} <= set(topics())
    for name, title in topics().items():
        assert re.search(rf"^  {name} +{re.escape(title)}$", listed, re.MULTILINE)
        assert all(len(line) <= 100 for line in help_on(name).splitlines())
    assert "--target-size" in help_on("encode"), "commands are explained, too"
    result = CliRunner().invoke(main, ["help", "nonsense"])
    assert result.exit_code == 2 and "quality" in result.stderr


@pytest.mark.parametrize("name", sorted(topics()))
def test_help_names_options_that_exist(name: str):
    everything = "".join(help_on(command) for command in COMMANDS)
    for option in re.findall(r"--[a-z][a-z-]+", help_on(name)):
        assert option in everything
    for command in re.findall(r"^  vaecodec (\w+)", help_on(name), re.MULTILINE):
        assert command in COMMANDS


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals(no_color: str, coloured: bool):
    words = [*COMMAND, "info", "/nonexistent.vae"]
    environment = {**os.environ, "NO_COLOR": no_color}
    reader, terminal = pty.openpty()
    process = subprocess.Popen(words, stderr=terminal, env=environment)
    process.wait()
    assert (b"\x1b[31m" in os.read(reader, 1000)) == coloured
    plain = subprocess.run(words, capture_output=True, env=environment)
    assert plain.stderr.startswith(b"vaecodec: /nonexistent.vae")


@pytest.mark.skipif(shutil.which("file") is None, reason="file(1) is not installed")
def test_magic_entry():
    words = ["file", "-b", "-m", ROOT / "docs" / "vaecodec.magic"]
    golden = Path(__file__).parent / "golden"
    for name, expected in {"low": "RGB", "grey": "grey", "deep": "16-bit RGB"}.items():
        said = subprocess.run([*words, golden / f"{name}.vae"], capture_output=True, text=True)
        assert re.fullmatch(
            rf"vaecodec image, version 1, \d+ x \d+, {expected}, level \d+ of 1280\n", said.stdout
        )
        mime = subprocess.run(
            [*words, "-i", golden / f"{name}.vae"], capture_output=True, text=True
        )
        assert mime.stdout.startswith("image/x-vaecodec")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of a user into which the entries were put."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    result = CliRunner().invoke(main, ["desktop", "--install"])
    assert result.exit_code == 0, result.output
    said = [line.removesuffix(": written") for line in result.stdout.splitlines()]
    assert len(said) == 3 and all(Path(path).is_file() for path in said), "it says what it wrote"
    return tmp_path / "data"


def entry(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def test_desktop_entries_name_the_type(installed: Path):
    space = "{http://www.freedesktop.org/standards/shared-mime-info}"
    root = ElementTree.parse(installed / "mime" / "packages" / "vaecodec.xml").getroot()
    (kind,) = root.findall(f"{space}mime-type")
    assert kind.get("type") == "image/x-vaecodec"
    value = kind.find(f"{space}magic/{space}match").get("value")
    assert value.encode().decode("unicode_escape").encode("latin-1") == MAGIC
    for path in ("thumbnailers/vaecodec.thumbnailer", "applications/vaecodec.desktop"):
        assert entry(installed / path)["MimeType"] == "image/x-vaecodec;"
        assert Path(entry(installed / path)["TryExec"]).is_file()


@pytest.mark.skipif(
    not (shutil.which("xdg-mime") and shutil.which("update-mime-database")),
    reason="xdg-utils or shared-mime-info is not installed",
)
def test_desktops_know_the_type_by_suffix(installed: Path, tmp_path: Path):
    (tmp_path / "p.vae").write_bytes(b"")
    words = ["xdg-mime", "query", "filetype", str(tmp_path / "p.vae")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "image/x-vaecodec\n"


@pytest.mark.parametrize("size", [64, 300])
def test_the_thumbnailers_own_command_makes_a_picture(installed: Path, tmp_path: Path, size: int):
    photo, vae, out = ROOT / "tests" / "photos" / "bay.jpg", tmp_path / "a b.vae", tmp_path / "t"
    assert CliRunner().invoke(main, ["encode", str(photo), "-o", str(vae)]).exit_code == 0
    words = shlex.split(entry(installed / "thumbnailers" / "vaecodec.thumbnailer")["Exec"])
    fields = {"%s": str(size), "%i": str(vae), "%o": str(out)}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([fields.get(w, w) for w in words], check=False, env=environment)
    assert done.returncode == 0
    with Image.open(out) as image:
        assert image.format == "PNG" and image.size == (size, round(size * 512 / 768))


def test_desktop_entries_are_removed(installed: Path):
    for _ in range(2):
        assert CliRunner().invoke(main, ["desktop", "--remove"]).exit_code == 0
        assert not list(installed.rglob("vaecodec.*"))
    assert CliRunner().invoke(main, ["desktop"]).exit_code == 2
