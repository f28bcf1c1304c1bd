"""Pictures to .vae files, one at a time."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vaecodec.batch.jobs import FileJob, Progress
from vaecodec.batch.report import FileReport, kinds_words
from vaecodec.batch.transfer import bytes_limit, write_result
from vaecodec.codec.effort import DEFAULT_EFFORT
from vaecodec.codec.quality import scale_of
from vaecodec.errors import UsageError
from vaecodec.format.container import MAGIC, MAX_PIXELS, METADATA_TYPES
from vaecodec.inference.loading import ModelReference
from vaecodec.places import Place
from vaecodec.streams import check_output, naming, open_input

if TYPE_CHECKING:
    from vaecodec.inference.model import Model
    from vaecodec.picture.picture import Picture


@dataclass(frozen=True)
class EncodeTask:
    """Encodes a file; fields as the options of `vaecodec encode`.

    `target`: kind and value, if there is one; `strip`: kinds of metadata; `roi`: a mask's file;
    `with_digest`: the report gets the SHA-256 of what is written.
    """

    model: ModelReference
    target: tuple[str, float] | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    quality: float | None = None
    lossless: bool = False
    best_effort: bool = False
    effort: int = DEFAULT_EFFORT
    timeout: float = math.inf
    roi: Place | None = None
    alpha_quality: float | None = None
    strip: tuple[str, ...] = ()
    page: int | None = None
    preserve: bool = False
    force: bool = False
    max_pixels: int = MAX_PIXELS
    with_digest: bool = False

    def __call__(self, job: FileJob, progress: Progress = lambda share: None) -> FileReport:
        """The report of a file that was written. Raises VaecodecError."""
        source, target = job.source, job.target
        assert target is not None
        check_output(source, target, self.force or job.is_there is False)
        report = FileReport(source, target)
        picture, bytes_in = self._read(source, report)
        with report.timing("load"):
            model = self.model.load()
        with naming(source), report.timing("encode"):
            data, reached = self._encode(picture, model, progress)
        write_result(job, lambda file: file.write(data), self, report)
        report.describe_file(data, model, bytes_in, len(data))
        height, width = picture.pixels.shape[:2]
        rate = f"{8 * len(data) / (height * width):.3f} bpp, {picture.size_bytes / len(data):.1f}:1"
        kinds = kinds_words(report.facts)
        report.text = f"{len(data)} bytes, {rate}{reached}{kinds}"
        return report

    def _read(self, source: Place, report: FileReport) -> "tuple[Picture, int]":
        """The picture without what is stripped, and the bytes of its file."""
        from vaecodec.picture.reader import picture_from_file

        with report.timing("read"), open_input(source, bytes_limit(self.max_pixels)) as file:
            with naming(source):
                if file.read(len(MAGIC)) == MAGIC:
                    raise UsageError(
                        "is a .vae file already; vaecodec decode makes a picture of it"
                    )
                file.seek(0)
                picture = picture_from_file(file, self.max_pixels, self.page)
            bytes_in = file.tell()
        report.note(source, picture.notes)
        kinds = METADATA_TYPES if "all" in self.strip else self.strip
        return picture.without_metadata(tuple(kinds)), bytes_in

    def _encode(self, picture: "Picture", model: "Model", progress: Progress) -> tuple[bytes, str]:
        """The file, and what is said of the target that it meets."""
        from vaecodec.codec.encoder import EncodeOptions, encode_picture
        from vaecodec.codec.targets import meet_target
        from vaecodec.picture.reader import read_picture

        scale = scale_of(model)
        options = EncodeOptions(
            scale.level(self.quality, self.effort),
            None if self.alpha_quality is None else scale.level(self.alpha_quality),
            self.passphrase,
            self.effort,
            self.timeout,
            progress,
            None if self.roi is None else read_picture(self.roi, self.max_pixels).pixels,
            self.lossless,
        )
        if self.target is not None:
            return meet_target(picture, model, options, self.target, self.best_effort)
        return encode_picture(picture, model, options), ""
