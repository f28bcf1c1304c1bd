"""Where the passphrase of an encrypted file comes from."""

import os
import sys
import unicodedata
from typing import BinaryIO

import click

from vaecodec.cli.options import PATH
from vaecodec.errors import UsageError
from vaecodec.format.container import is_encrypted
from vaecodec.places import Place
from vaecodec.streams import open_input

PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=PATH, default=None, help="File whose first line is the passphrase."
)


def read_passphrase(file: Place | None, ask: bool, confirm: bool = False) -> bytes | None:
    """The passphrase from a file, the environment, or (with `ask`, on a terminal) a prompt; else
    None."""
    text = os.environ.get("VAECODEC_PASSPHRASE")
    if file is not None:
        with open_input(file) as opened:
            text = opened.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    elif text is None and ask and sys.stdin.isatty():
        text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    if text is None:
        return None
    if not text:
        raise UsageError("the passphrase is empty")
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")


def passphrase_for(source: BinaryIO, file: Place | None) -> bytes | None:
    """The passphrase for reading an open .vae file, if it is encrypted."""
    return read_passphrase(file, ask=True) if is_encrypted(source) else None
