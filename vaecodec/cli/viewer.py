"""Showing a picture: in the desktop's viewer, or in a terminal as blocks of colour."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from vaecodec.errors import VaecodecError
from vaecodec.signals import STOPPING, handled

WAITED_SECONDS = 5  # a viewer that ran as long was waited for; others go on by themselves
_ENDING = (*STOPPING, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
KEPT_SECONDS = 60  # the picture is kept so long for a viewer that goes on by itself


def viewer_command(environment: Mapping[str, str] = os.environ) -> list[str] | None:
    """The command that opens a file in the user's viewer; None without a display or such a
    command."""
    if sys.platform == "win32":
        return ["cmd", "/c", "start", "", "/wait"]
    if sys.platform == "darwin":
        return None if "SSH_CONNECTION" in environment else ["open", "-W", "-n"]
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return None
    return ["xdg-open"] if shutil.which("xdg-open") else None


def show_in_viewer(
    command: list[str], name: str, write: Callable[[BinaryIO], object], say: Callable[[str], None]
) -> None:
    """Write a temporary picture called `name`, open it, and remove it when it has been seen.

    It is removed when the viewer ends. A command that hands it to a viewer and ends at once tells
    nothing about that; then it is kept for KEPT_SECONDS, which is said, or up to Ctrl-C. A kill or
    a closed terminal removes it, too. Raises VaecodecError where the command fails.
    """
    with handled(_end, *_ENDING), tempfile.TemporaryDirectory(prefix="vaecodec-") as folder:
        path = Path(folder, name)
        with path.open("wb") as file:
            write(file)
        started = time.monotonic()
        try:
            done = subprocess.run([*command, str(path)], stdin=subprocess.DEVNULL)
        except OSError as error:
            raise VaecodecError(f"{command[0]}: cannot run: {error.strerror}") from None
        if done.returncode:
            raise VaecodecError(
                f"{command[0]}: ended with exit code {done.returncode}; is a viewer for PNG"
                " pictures set up? `vaecodec decode` writes a picture to open by hand"
            )
        if time.monotonic() - started < WAITED_SECONDS:
            say(f"open for {KEPT_SECONDS} s, then the temporary picture goes; Ctrl-C ends it now")
            time.sleep(KEPT_SECONDS)


def _end(number: int, _: object) -> None:
    """Signals that would end the process at once end it through every `finally`, quietly."""
    sys.exit(0 if number == signal.SIGINT else 128 + number)
