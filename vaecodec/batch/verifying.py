"""Checks of .vae files, one at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vaecodec.batch.jobs import FileJob
from vaecodec.batch.report import FileReport
from vaecodec.batch.transfer import bytes_limit, digest_of
from vaecodec.codec.quality import quality_of_file
from vaecodec.format.container import MAX_PIXELS, is_encrypted
from vaecodec.format.description import describe
from vaecodec.inference.loading import ModelReference
from vaecodec.streams import naming, open_input


@dataclass(frozen=True)
class VerifyTask:
    """Checks a file; fields as the options of `vaecodec verify`.

    `with_digest`: the report gets the SHA-256 of the file.
    """

    model: ModelReference
    quick: bool = False
    passphrase: bytes | None = field(default=None, repr=False)
    max_pixels: int = MAX_PIXELS
    with_digest: bool = False

    def __call__(self, job: FileJob, ask: Callable[[], bytes | None] = lambda: None) -> FileReport:
        """The report of a sound file; `ask` as for DecodeTask. Raises VaecodecError."""
        from vaecodec.codec.decoder import verify_file

        report = FileReport(job.source)
        report.text = "ok"
        with open_input(job.source, bytes_limit(self.max_pixels)) as file, naming(job.source):
            facts = describe(file, self.max_pixels)
            if not self.quick:
                with report.timing("load"):
                    model = self.model.load(bytes.fromhex(facts["model"]))
                file.seek(0)
                passphrase = (self.passphrase or ask()) if is_encrypted(file) else None
                with report.timing("verify"):
                    verify_file(file, model, self.max_pixels, passphrase)
                report.describe_model(model)
            if self.with_digest:
                report.facts["sha256"] = digest_of(file)
        quality = quality_of_file(bytes.fromhex(facts["model"]), facts["level"])
        report.facts |= {"quality": quality, "bytes_in": facts["bytes"], "parts": facts["parts"]}
        return report
