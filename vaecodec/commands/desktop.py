"""The `vaecodec desktop` command: file managers learn what .vae files are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template

import click

from vaecodec.atomic_files import write_text
from vaecodec.cli.faults import EPILOG
from vaecodec.errors import FileAccessError, UsageError

ENTRIES = Path(__file__).parent / "desktop_entries"
# Where each stands below the user's data folder, and what tells the desktop of it (shared-mime-info
# and desktop-file-utils; thumbnailers are looked for).
PLACES = {
    "vaecodec.xml": ("mime/packages", "update-mime-database", "mime"),
    "vaecodec.desktop": ("applications", "update-desktop-database", "applications"),
    "vaecodec.thumbnailer": ("thumbnailers", None, ""),
}


@click.command(epilog=EPILOG)
@click.option("--install", is_flag=True, help="Write the entries and tell the desktop of them.")
@click.option("--remove", is_flag=True, help="Take them away again.")
def desktop(install: bool, remove: bool) -> None:
    """Let file managers know, show and open .vae files.

    For desktops of freedesktop.org (GNOME, KDE, Xfce and others). Only the user's own data folder
    is written to ($XDG_DATA_HOME, by default ~/.local/share).
    """
    if install == remove:
        raise UsageError("name one of --install and --remove")
    if sys.platform in ("win32", "darwin"):
        raise UsageError("desktops of this system are not known here; those of freedesktop.org are")
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    for name, (folder, _, _) in PLACES.items():
        path = home / folder / name
        if install:
            _write(path, _filled(name))
        elif path.exists():
            path.unlink()
        else:
            continue
        click.echo(f"{path}: {'written' if install else 'removed'}")
    for _, program, folder in PLACES.values():
        if program is not None and (home / folder).is_dir():
            _tell(program, home / folder)


def _filled(name: str) -> str:
    """An entry that runs this Python, wherever the search path of the desktop leads."""
    program = sys.executable
    # Quoted as the specification of desktop entries asks, where % stands for a field.
    quoted = "".join(f"\\{c}" if c in '"`$\\' else c for c in program).replace("%", "%%")
    text = (ENTRIES / name).read_text("utf-8")
    return Template(text).safe_substitute(program=program, command=f'"{quoted}" -m vaecodec')


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError(f"{path.parent}: cannot create: {error.strerror}") from None
    write_text(path, text)


def _tell(program: str, folder: Path) -> None:
    """Run what collects the entries of a folder; without it they are found at some later time."""
    if shutil.which(program) is None:
        click.echo(f"{program}: not installed; run it on {folder} once it is", err=True)
        return
    done = subprocess.run([program, str(folder)], check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        click.echo(f"{program}: failed: {reason}", err=True)
