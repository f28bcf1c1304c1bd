"""What the command says of faults: a line each, and what exit codes mean."""

import os
import sys

import click

from vaecodec.errors import VaecodecError

EPILOG = "Exit codes: 0 done, 1 the data could not be processed, 2 wrong usage."

# What the command says where another value of a parameter would help.
HINTS = {
    "max_pixels": "raise it with --max-pixels",
    "model": "name that model's file with --model",
    "output": "name another output with -o",
    "overwrite": "use -f to overwrite it",
    "passphrase": "give --passphrase-file FILE or set VAECODEC_PASSPHRASE",
    "best_effort": "--best-effort takes it",
}


def fault_text(error: VaecodecError) -> str:
    """What the command says of a fault: its message, and the option that would help."""
    hint = HINTS.get(error.parameter or "")
    return f"{error}; {hint}" if hint else str(error)


def say_fault(message: str) -> None:
    """A fault as one line on standard error; its start is red on a terminal, unless NO_COLOR."""
    start = "vaecodec:"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        start = click.style(start, fg="red")
    click.echo(f"{start} {' '.join(message.split())}", err=True)
