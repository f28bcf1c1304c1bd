"""A comparison page for each picture of an evaluation, in the folder of its report."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from vaecodec.atomic_files import write_text
from vaecodec.codec.quality import scale_of
from vaecodec.evaluation.comparison import show_all
from vaecodec.evaluation.comparison_page import Original, render
from vaecodec.evaluation.own_codec import OwnCodec
from vaecodec.evaluation.records import EvaluatedPicture
from vaecodec.evaluation.reference_codecs import AnyReferenceCodec
from vaecodec.inference.loading import load_model
from vaecodec.picture.reader import MAX_PICTURE_PIXELS, read_picture

PAGES = "pages"  # folder of the pages in that of the report


def write_pages(
    sources: Sequence[EvaluatedPicture],
    own: OwnCodec,
    codecs: Sequence[AnyReferenceCodec],
    folder: Path,
) -> Iterator[tuple[str, str]]:
    """Write what is missing of the pages; yields the name of each picture with the address of its
    page, relative to `folder`. vaecodec at its default quality, the others at that size."""
    (folder / PAGES).mkdir(exist_ok=True)
    versions = [str(codec.version()) for codec in (own, *codecs)]
    model = load_model(own.path, "cpu")
    level = scale_of(model).level(None)
    for source in sources:
        made_of = json.dumps([source.sha256, source.name, *versions])
        name = f"{source.path.stem}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.html"
        path = folder / PAGES / name
        if not path.exists():
            picture = read_picture(source.path, MAX_PICTURE_PIXELS)
            original = Original.of(picture, source.name, source.path.stat().st_size, None)
            write_text(path, render(original, show_all(original.pixels, model, codecs, level)))
        yield source.name, f"{PAGES}/{quote(name)}"
