"""Data flow one way: each module imports only what its line allows, and starts without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vaecodec

PACKAGE = Path(vaecodec.__file__).parent
NUMERIC = {"numpy"}
TORCH = {"torch", "numpy"}
# module -> (modules of ours, packages of others) that it may import
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "__init__": ({"api", "__init__"}, set()),
    "api": (
        {
            "quality",
            "canvas",
            "tensors",
            "container",
            "effort",
            "errors",
            "files",
            "model",
            "picture",
            "picture_reader",
            "picture_writer",
            "pipeline",
            "targets",
            "tiling",
        },
        TORCH | {"PIL"},
    ),
    "pillow_plugin": ({"api", "container", "errors"}, {"PIL"}),
    "__main__": ({"cli"}, set()),
    "cli": (
        {
            "__init__",
            "cli_compare",
            "cli_decode",
            "cli_encode",
            "cli_eval",
            "cli_export",
            "cli_help",
            "cli_inspect",
            "cli_options",
            "cli_show",
            "cli_train",
            "errors",
        },
        {"click"},
    ),
    "cli_compare": (
        {
            "quality",
            "cli_decode",
            "cli_wishes",
            "cli_options",
            "cli_report",
            "compare",
            "compare_page",
            "errors",
            "peers",
            "picture_reader",
        },
        NUMERIC | {"click"},
    ),
    "cli_show": (
        {
            "quality",
            "cli_options",
            "cli_report",
            "container",
            "errors",
            "picture_writer",
            "pipeline",
            "sample",
            "view",
        },
        NUMERIC | {"click"},
    ),
    "compare": (
        {
            "quality",
            "__init__",
            "errors",
            "metrics",
            "model",
            "peers",
            "picture",
            "pipeline",
            "ratecontrol",
            "targets",
            "tiling",
        },
        NUMERIC | {"PIL"},
    ),
    "compare_page": ({"compare"}, NUMERIC | {"PIL"}),
    "sample": (
        {
            "container",
            "entropy",
            "errors",
            "gain_map",
            "latents",
            "model",
            "pipeline",
            "slice_source",
            "tiling",
        },
        NUMERIC,
    ),
    "view": ({"errors"}, NUMERIC | {"PIL"}),
    "cli_wishes": (
        {
            "cli_report",
            "quality",
            "cli_options",
            "effort",
            "model",
            "picture",
            "pipeline",
            "ratecontrol",
            "targets",
        },
        {"click"},
    ),
    "quality": ({"container", "effort", "errors"}, set()),
    "cli_options": ({"model", "container", "errors", "files"}, {"click"}),
    "batch": ({"errors"}, set()),
    "cli_batch": ({"batch", "cli_options", "cli_report", "errors", "model"}, {"click"}),
    "cli_encode": (
        {
            "quality",
            "cli_batch",
            "cli_options",
            "cli_report",
            "cli_wishes",
            "container",
            "errors",
            "picture_reader",
            "pipeline",
        },
        {"click"},
    ),
    "cli_decode": (
        {
            "cli_batch",
            "cli_options",
            "cli_report",
            "container",
            "picture_writer",
            "pipeline",
            "tiling",
        },
        {"click"},
    ),
    "cli_report": ({"quality", "cli_options", "container", "errors", "model"}, {"click"}),
    "cli_inspect": (
        {
            "quality",
            "cli_options",
            "cli_report",
            "container",
            "errors",
            "files",
            "model",
            "picture_writer",
            "pipeline",
            "weights",
        },
        {"click"},
    ),
    "cli_help": ({"errors"}, {"click"}),
    "cli_export": (
        {"cli_options", "errors", "files", "onnx_graphs", "parameters", "weights"},
        {"click"},
    ),
    "cli_train": (
        {
            "files",
            "cli_options",
            "errors",
            "export",
            "network",
            "train_options",
            "training",
            "weights",
        },
        {"click"},
    ),
    "cli_eval": (
        {
            "cores",
            "cli_report",
            "cli_batch",
            "cli_options",
            "errors",
            "evaluation",
            "peers",
            "published_points",
            "report",
        },
        {"click"},
    ),
    "train_options": ({"network"}, set()),
    "pipeline": (
        {
            "alpha",
            "canvas",
            "container",
            "effort",
            "encryption",
            "errors",
            "gain_map",
            "latents",
            "model",
            "picture",
            "slice_source",
            "tiling",
        },
        NUMERIC,
    ),
    "targets": (
        {"container", "metrics", "model", "picture", "pipeline", "ratecontrol"},
        set(),
    ),
    "ratecontrol": ({"errors"}, set()),
    "slice_source": ({"container", "encryption", "errors", "gain_map"}, set()),
    "encryption": ({"container", "errors"}, {"cryptography"}),
    "gain_map": ({"dimensions", "exact", "container", "errors", "picture", "tiling"}, NUMERIC),
    "canvas": ({"container", "model", "picture", "tiling"}, NUMERIC),
    "tensors": ({"canvas", "container", "errors", "picture", "tiling", "torch_transforms"}, TORCH),
    "effort": ({"errors"}, NUMERIC),
    "refine": (
        {
            "blocks",
            "container",
            "effort",
            "export",
            "gain_map",
            "network",
            "rates",
            "tiling",
            "torch_transforms",
            "weights",
        },
        TORCH,
    ),
    "rounding": ({"tables"}, NUMERIC),
    "latents": (
        {
            "container",
            "entropy",
            "errors",
            "gain_map",
            "model",
            "rounding",
            "schedule",
            "tiling",
        },
        NUMERIC,
    ),
    "model": (
        {
            "container",
            "cores",
            "entropy",
            "errors",
            "exact",
            "onnx_transforms",
            "refine",
            "rounding",
            "torch_transforms",
            "weights",
        },
        NUMERIC,
    ),
    "onnx_transforms": (
        {"container", "cores", "onnx_graphs", "parameters", "weights"},
        NUMERIC | {"onnxruntime"},
    ),
    "onnx_graphs": ({"dimensions", "onnx_format", "schedule", "weights"}, NUMERIC),
    "onnx_format": (set(), NUMERIC),
    "cores": (set(), set()),
    "parameters": ({"dimensions", "errors", "schedule", "weights"}, set()),
    "dimensions": ({"container"}, set()),
    "weights": ({"container", "errors", "exact", "files", "tables"}, NUMERIC | {"safetensors"}),
    "picture": (set(), NUMERIC),
    "picture_reader": ({"errors", "picture"}, NUMERIC | {"PIL", "png"}),
    "picture_writer": ({"errors", "picture"}, NUMERIC | {"PIL", "png"}),
    "alpha": ({"errors"}, NUMERIC | {"PIL"}),
    "files": ({"errors"}, set()),
    "tiling": ({"container"}, NUMERIC),
    "container": ({"errors"}, set()),
    "entropy": ({"errors"}, NUMERIC | {"constriction"}),
    "tables": (set(), NUMERIC),
    "exact": ({"schedule"}, NUMERIC),
    "schedule": (set(), NUMERIC),
    "metrics": ({"errors", "losses"}, TORCH | {"scipy"}),
    "errors": (set(), set()),
    "blocks": ({"dimensions", "exact"}, TORCH),
    "rates": ({"dimensions", "exact", "rounding"}, TORCH),
    "network": ({"blocks", "dimensions", "exact", "gain_map", "rates", "schedule"}, TORCH),
    "torch_transforms": (
        {"container", "cores", "errors", "network", "parameters", "weights"},
        TORCH,
    ),
    "initialise": ({"dimensions", "exact", "network", "schedule"}, TORCH),
    "losses": ({"network"}, TORCH),
    "curves": (set(), {"matplotlib"}),
    "peers": ({"errors"}, {"PIL"}),
    "evaluation": (
        {
            "quality",
            "__init__",
            "dataset",
            "effort",
            "errors",
            "files",
            "metrics",
            "model",
            "peers",
            "picture",
            "picture_reader",
            "pipeline",
            "weights",
        },
        NUMERIC | {"PIL"},
    ),
    "bd_table": ({"evaluation", "metrics"}, NUMERIC),
    "published_points": (set(), NUMERIC),
    "rd_plot": (set(), NUMERIC | {"matplotlib"}),
    "report": (
        {
            "bd_table",
            "errors",
            "evaluation",
            "files",
            "published_points",
            "rd_plot",
            "report_html",
        },
        NUMERIC,
    ),
    "report_html": ({"bd_table", "dataset", "evaluation", "report"}, NUMERIC | {"PIL"}),
    "dataset": ({"errors", "picture_reader"}, NUMERIC),
    "checkpoint": ({"errors", "files"}, TORCH | {"safetensors"}),
    "training": (
        {
            "files",
            "checkpoint",
            "curves",
            "dataset",
            "errors",
            "export",
            "initialise",
            "losses",
            "network",
            "torch_transforms",
            "train_options",
            "weights",
        },
        TORCH,
    ),
    "export": (
        {
            "blocks",
            "tiling",
            "dimensions",
            "container",
            "errors",
            "exact",
            "latents",
            "model",
            "network",
            "parameters",
            "tables",
            "torch_transforms",
            "weights",
        },
        TORCH,
    ),
}


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    own, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "vaecodec":
                own.add(rest or "__init__")
            elif head not in sys.stdlib_module_names:
                others.add(head)
    return own, others


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_module_imports_only_what_it_may(path: Path):
    own, others = imports_of(path)
    allowed_own, allowed_others = ALLOWED[path.stem]
    assert own <= allowed_own
    assert others <= allowed_others


def test_every_line_of_the_table_is_a_module():
    assert set(ALLOWED) == {path.stem for path in PACKAGE.glob("*.py")}


@pytest.mark.parametrize("module", ["cli", "pipeline", "model", "latents", "api", "report"])
def test_reading_paths_do_not_import_torch(module: str):
    program = f"import sys, vaecodec.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
