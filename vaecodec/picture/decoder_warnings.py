"""Pillow's warnings as notes of the picture that they are about, whichever thread reads it."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_notes = threading.local()
_outer = warnings.showwarning


@contextmanager
def collected() -> Iterator[list[str]]:
    """Gathers what is warned of in this thread meanwhile, each text once."""
    global _outer
    if warnings.showwarning is not _show:
        _outer, warnings.showwarning = warnings.showwarning, _show
        for module in (r"PIL\.", "tifffile"):  # each time, and not once for all files
            warnings.filterwarnings("always", category=UserWarning, module=module)
        for logger in ("PIL", "tifffile"):  # heard by who asks for it, not printed for want of one
            logging.getLogger(logger).addHandler(logging.NullHandler())
    before = getattr(_notes, "texts", None)
    _notes.texts = []
    try:
        yield _notes.texts
    finally:
        _notes.texts = before


def _show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    texts = getattr(_notes, "texts", None)
    if texts is None:
        _outer(message, category, *place, **more)
        return
    text = " ".join(str(message).split())
    if text not in texts:
        texts.append(text)
