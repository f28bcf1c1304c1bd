"""Files of .vae to pictures, one at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vaecodec.batch.jobs import FileJob, Progress
from vaecodec.batch.report import FileReport
from vaecodec.batch.transfer import bytes_limit, write_result
from vaecodec.codec.tiling import Region
from vaecodec.errors import UsageError
from vaecodec.format.container import MAGIC, MAX_PIXELS, is_encrypted, read_header
from vaecodec.inference.loading import ModelReference
from vaecodec.streams import check_output, is_pipe, naming, open_input


@dataclass(frozen=True)
class DecodeTask:
    """Decodes a file; fields as the options of `vaecodec decode`.

    `suffix`: of the format where no output names one; `scale`: 1, 2, 4 or 8, the divisor of both
    sides; `with_digest`: the report gets the SHA-256 of what is written.
    """

    model: ModelReference
    suffix: str = ".png"
    region: Region | None = None
    scale: int = 1
    salvage: bool = False
    passphrase: bytes | None = field(default=None, repr=False)
    preserve: bool = False
    force: bool = False
    max_pixels: int = MAX_PIXELS
    with_digest: bool = False

    def __call__(
        self,
        job: FileJob,
        progress: Progress = lambda share: None,
        ask: Callable[[], bytes | None] = lambda: None,
    ) -> FileReport:
        """The report of a file that was written; `ask`: for the passphrase of an encrypted file
        where the task has none. Raises VaecodecError."""
        from vaecodec.codec.decoder import DecodeOptions, decode_picture
        from vaecodec.picture.reader import is_picture_name
        from vaecodec.picture.writer import check_suffix, write_picture

        source, target = job.source, job.target
        assert target is not None
        suffix = self.suffix if is_pipe(target) else target.suffix
        check_output(source, target, self.force or job.is_there is False)
        report = FileReport(source, target)
        with open_input(source, bytes_limit(self.max_pixels)) as file, naming(source):
            check_suffix(suffix)
            if is_picture_name(source) and file.read(len(MAGIC)) != MAGIC:
                raise UsageError("is no .vae file; vaecodec encode makes one of a picture")
            file.seek(0)
            header = read_header(file, self.max_pixels)  # before the model is loaded
            file.seek(0)
            passphrase = (self.passphrase or ask()) if is_encrypted(file) else None
            with report.timing("load"):
                model = self.model.load(header.model_id)
            with report.timing("decode"):
                options = DecodeOptions(
                    self.max_pixels, self.region, self.scale, self.salvage, passphrase, progress
                )
                picture = decode_picture(file, model, options)
            bytes_in = file.tell()
        notes: list[str] = []
        size_bytes = write_result(
            job, lambda out: notes.extend(write_picture(picture, out, suffix)), self, report
        )
        report.note(source, picture.notes)
        report.note(target, notes)
        report.describe_header(header, model, bytes_in, size_bytes)
        height, width = picture.pixels.shape[:2]
        report.facts |= {"width": width, "height": height, "mode": picture.mode}
        report.text = f"{width}x{height} {picture.mode}, {size_bytes} bytes"
        report.is_whole = not picture.notes
        return report
