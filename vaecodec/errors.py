"""What can go wrong, each kind with the exit code that the command ends with; a warning.

A message names no option of the command, since Python users read it, too: where another value of a
parameter would help, `parameter` names that one, and `cli.messages` says which option it is.
"""


class VaecodecError(Exception):
    """A fault that the user can act on: one line that names what is wrong and what to do.

    `parameter`: of the Python API, with another value of which it would go, if there is one.
    """

    exit_code = 1

    def __init__(self, message: str, parameter: str | None = None):
        super().__init__(message)
        self.parameter = parameter

    def of(self, path: object) -> "VaecodecError":
        """The same fault with the file's name before it, once."""
        if str(self).startswith(f"{path}: "):
            return self
        named = type(self)(f"{path}: {self}")
        named.__dict__.update(self.__dict__)
        return named


class UsageError(VaecodecError, ValueError):
    """The request itself is wrong: an option, a path, an output that exists."""

    exit_code = 2


class MissingFileError(UsageError, FileNotFoundError):
    """A file or folder that was named is not there."""


class OutputExistsError(UsageError, FileExistsError):
    """An output is there already."""


class FileAccessError(VaecodecError, OSError):
    """A file cannot be read or written: its mode, a full disk, a closed pipe."""


class PictureError(VaecodecError, ValueError):
    """The input is not a picture that can be encoded, or the output cannot hold it."""


class FormatError(VaecodecError, ValueError):
    """The bytes are not a vaecodec file, or a damaged one."""


class ModelError(VaecodecError, OSError):
    """A weight file is missing, damaged, or not the one that a file was made with."""


class MissingModelError(ModelError):
    """No weight file here has the name that a file asks for: its `model_id`."""

    model_id = b""


class CorruptSymbolsError(FormatError):
    """The decoded symbols do not match their checksum."""


class PassphraseError(VaecodecError, ValueError):
    """A file is encrypted and the passphrase is missing or wrong."""


class TargetError(VaecodecError, ValueError):
    """No encoding has the size or the quality that was asked for."""


class VaecodecWarning(UserWarning):
    """What the user should know of this machine although all goes well; `--quiet` silences it."""
