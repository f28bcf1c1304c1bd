"""The `vaecodec` command: its parts put together, and faults turned into one line and an exit code.

A command is imported when it is called, and torch and Pillow inside the commands that need them, so
that `--help`, `info` and mistakes in the command line answer at once.
"""

import atexit
import gc
import os
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click

from vaecodec.cli.faults import EPILOG, fault_text, say_fault
from vaecodec.errors import VaecodecError, VaecodecWarning
from vaecodec.streams import drop_standard_output, open_closed_streams
from vaecodec.version import __version__

# By name: where each command is, and the first sentence of its help.
COMMANDS = {
    "encode": ("encode:encode", "Encode pictures as .vae files, a folder of them as well."),
    "decode": ("decode:decode", "Decode .vae files to PNG, JPEG, WebP, AVIF, TIFF and others."),
    "view": ("view:view", "Show a .vae file in the desktop's viewer or in the terminal."),
    "info": ("info:info", "Say what .vae files or models hold, without decoding them."),
    "verify": ("verify:verify", "Check .vae files down to every decoded symbol."),
    "compare": ("compare:compare", "Write a page that shows a photo by vaecodec and other codecs."),
    "eval": ("evaluate:evaluate", "Measure vaecodec and other codecs on a folder of pictures."),
    "sample": ("sample:sample", "Draw new pictures from the model."),
    "export": ("export:export", "Write a model's float network as ONNX graphs."),
    "train": ("train:train", "Train a model on a folder of pictures."),
    "thumbnail": ("thumbnail:thumbnail", "Write a small PNG of a .vae file, for file managers."),
    "desktop": ("desktop:desktop", "Let file managers know, show and open .vae files."),
    "help": ("help:help_command", "Explain a topic or a command, or list the topics."),
}

# Read when numpy is imported, which is later: OpenBLAS then starts no threads, which would wait
# busily at first and take 0.05 s of processor time. `cores.single_blas_thread` keeps them from work
# in programs that use the library and have started them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Read when torch loads OpenMP. Its threads wait busily for each other as well, and where other
# programs want the cores too, refinement takes four times as long as with threads that sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Python looks for garbage once more as it ends, among all that imports have made: that takes a
# tenth of the time of a decode, and frees nothing that the end of the process would not.
atexit.register(gc.freeze)

_show_others = warnings.showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Ours as a line for users, without the line of code that Python adds for developers."""
    if issubclass(category, VaecodecWarning):
        click.echo(f"vaecodec: {message}", err=True)
    else:
        _show_others(message, category, filename, lineno, file, line)


class _Group(click.Group):
    """Finds a command when it is called, and turns faults into one line on standard error and an
    exit code."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = pkgutil.resolve_name(f"vaecodec.commands.{COMMANDS[name][0]}")
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *others: Any, **settings: Any) -> NoReturn:
        open_closed_streams()
        words = sys.argv[1:] if args is None else args
        self._as_json = "--json" in words
        settings["standalone_mode"] = False
        try:
            try:
                code = super().main(args, *others, **settings)
            finally:
                sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)
        except click.ClickException as error:
            if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
                error.show()
                sys.exit(error.exit_code)
            context = error.ctx if isinstance(error, click.UsageError) else None
            command = context.command_path if context else "vaecodec"
            message = error.format_message().rstrip(".")
            self._fail(f"{message}; see {command} --help", error.exit_code)
        except click.Abort:
            self._fail("stopped", 1)
        except BrokenPipeError:
            drop_standard_output()
            sys.exit(1)
        except OSError as error:  # of files they are VaecodecErrors
            drop_standard_output()
            self._as_json = False
            self._fail(f"standard output: cannot write: {error.strerror or 'closed'}", 1)

    def invoke(self, context: click.Context) -> object:
        warnings.showwarning = _show_warning
        try:
            return super().invoke(context)
        except VaecodecError as error:
            self._fail(fault_text(error), error.exit_code)
        except MemoryError:
            self._fail("not enough memory for a picture of this size", 1)

    def _fail(self, message: str, exit_code: int) -> NoReturn:
        if self._as_json:
            import json

            click.echo(json.dumps({"ok": False, "fault": message}))
        else:
            say_fault(message)
        sys.exit(exit_code)


@click.group(cls=_Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vaecodec")
def main() -> None:
    """Learned image codec: photographs into small .vae files and back."""


if __name__ == "__main__":
    main(prog_name="vaecodec")
