"""What can go wrong, each kind with the exit code that the command ends with."""


class VaecodecError(Exception):
    """A fault that the user can act on: one line that names what is wrong and what to do."""

    exit_code = 1


class UsageError(VaecodecError):
    """The request itself is wrong: an option, a path, an output that exists."""

    exit_code = 2


class PictureError(VaecodecError):
    """The input is not a picture that can be encoded, or the output cannot hold it."""


class FormatError(VaecodecError):
    """The bytes are not a vaecodec file, or a damaged one."""


class ModelError(VaecodecError):
    """A weight file is missing, damaged, or not the one that a file was made with."""


class CorruptSymbolsError(FormatError):
    """The decoded symbols do not match their checksum."""


class PassphraseError(VaecodecError):
    """A file is encrypted and the passphrase is missing or wrong."""
