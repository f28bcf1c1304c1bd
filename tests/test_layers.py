"""The house's one rule: a package imports only packages on lower lines of the ladder.

The ladder stands in docs/architecture.md, a row for each package; this reads it from there.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vaecodec

PACKAGE = Path(vaecodec.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"
ROW = re.compile(r"^\| `([\w/.]+)` \| (.+?) \|(.*?)\|(.*?)\|$", re.MULTILINE)
# Where torch may be imported: nothing that `--help`, `info`, `verify`, or encode and decode on a
# CPU touches.
TORCH_FILES = re.compile(
    r"training/|network/(?!config|weights)|inference/(torch_backend|refine)|codec/tensors|api|arguments"
)


def words(cell: str) -> list[str]:
    return re.findall(r"`([\w/.]+)`", cell)


# By package: the packages of ours and of others that it may import.
LADDER = {
    row[1].rstrip("/"): (
        {name.rstrip("/").removesuffix(".py") for name in words(row[3])},
        set(words(row[4])),
    )
    for row in ROW.finditer(ARCHITECTURE.read_text("utf-8"))
}
# Installed, the package holds the folder of weight files as well.
FILES = sorted(
    path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "models"
)


def package_of(path: Path) -> str:
    """The row that a file belongs to: its folder, or itself at the top level."""
    return path.parts[0] if len(path.parts) > 1 else path.name


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Modules of ours (`codec.decoder`) and packages of others that a file imports anywhere."""
    own, others = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "vaecodec":
                own.add(module_of(rest))
            elif head not in sys.stdlib_module_names:
                others.add(head)
    return own, others


def module_of(name: str) -> str:
    """`codec.decoder` of `codec.decoder.decode_picture`, `__init__` of the package's own names."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (PACKAGE / Path(*parts[:length])).with_suffix(".py").exists():
            return ".".join(parts[:length])
    return "__init__"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_what_its_row_allows(path: Path):
    package = package_of(path)
    allowed_own, allowed_others = LADDER[package]
    own, others = imports_of(path)
    reached = {name.partition(".")[0] for name in own} - {package.removesuffix(".py")}
    assert reached <= allowed_own
    assert others <= allowed_others
    if "torch" in others:
        assert TORCH_FILES.match(path.as_posix())


def test_the_ladder_is_the_folder_list():
    assert set(LADDER) == {package_of(path) for path in FILES}


def test_no_package_imports_upwards():
    rows = [name.removesuffix(".py") for name in LADDER]
    for place, (allowed, _) in enumerate(LADDER.values()):
        assert allowed <= set(rows[place + 1 :])


def test_no_command_imports_another():
    for path in FILES:
        if path.parts[0] == "commands":
            own, _ = imports_of(path)
            assert {name for name in own if name.startswith("commands.")} == set()


def test_files_do_not_import_each_other_in_a_circle():
    def name_of(path: Path) -> str:
        return ".".join(path.with_suffix("").parts)

    left = {name_of(path): imports_of(path)[0] - {name_of(path)} for path in FILES}
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    assert left == {}


READING = ["__main__", "api", "codec.decoder", "codec.encoder", "inference.model"]


@pytest.mark.parametrize("module", [*READING, "codec.targets", "evaluation.report"])
def test_reading_paths_do_not_import_torch(module: str):
    program = f"import sys, vaecodec.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_every_package_says_what_lives_in_it():
    for path in FILES:
        if path.name == "__init__.py" and len(path.parts) > 1:
            (only,) = ast.parse((PACKAGE / path).read_text("utf-8")).body
            assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)


def test_files_and_functions_stay_readable():
    """A longer file is two ideas."""
    for path in FILES:
        text = (PACKAGE / path).read_text("utf-8")
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}: {node.name}"


def test_scripts_that_are_named_are_there():
    root = ARCHITECTURE.parents[1]
    texts = [
        *root.glob("*.md"),
        *root.glob("*/*.md"),
        *root.glob("scripts/*"),
        *root.glob("tests/*.py"),
    ]
    texts += [PACKAGE / path for path in FILES]
    named = {
        (match[0], text.name)
        for text in texts
        if text.is_file()
        for match in re.finditer(r"scripts/\w+\.(py|sh)", text.read_text("utf-8"))
    }
    assert len(named) > 10
    assert [pair for pair in sorted(named) if not (root / pair[0]).exists()] == []
