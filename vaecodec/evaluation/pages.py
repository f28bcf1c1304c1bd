"""What the pages of reports and comparisons share: their templates, and pictures inside of them."""

import base64
from functools import cache
from typing import Any

import jinja2


def render_page(template: str, **values: Any) -> str:
    """A template of this package, filled in; what the values hold is text, never HTML."""
    return _environment().get_template(template).render(**values)


def data_uri(kind: str, data: bytes) -> str:
    """An image file, `kind` as MIME types name it, for `src` on a page that needs nothing else."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("vaecodec.evaluation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
