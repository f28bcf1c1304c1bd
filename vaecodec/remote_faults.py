"""What file systems elsewhere raise, as OSErrors in words that can be shown: what is wrong, and
what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from vaecodec.errors import UsageError

# What says who is asking, by scheme.
_CREDENTIALS = {
    **dict.fromkeys(("s3", "s3a"), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
    **dict.fromkeys(("gs", "gcs"), "GOOGLE_APPLICATION_CREDENTIALS"),
    **dict.fromkeys(
        ("az", "abfs", "abfss"), "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
    ),
}
WITH_BUCKETS = set(_CREDENTIALS)
_WITHOUT_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}
_UNREACHED = re.compile(r"(Endpoint|Client|Proxy)?Connect\w*Error|ClientConnector\w*Error")


@contextmanager
def told_as_os_errors(system: Any, path: str, url: str, asks_bucket: bool) -> Iterator[None]:
    """Whatever fsspec's `system` raises of `path` is an OSError whose `strerror` can be shown.

    `url`: the address of the path; `asks_bucket`: where something is not there, tell whether its
    bucket is, which is one more request.
    """
    try:
        yield
    except FileNotFoundError:
        bucket = asks_bucket and _missing_bucket(system, path, url)
        if not bucket:
            raise FileNotFoundError(errno.ENOENT, "no such file or folder") from None
        where = " and AWS_ENDPOINT_URL" if _scheme(url) in ("s3", "s3a") else ""
        told = f"there is no bucket {bucket}; create it, or check its name{where}"
        raise OSError(errno.ENXIO, told) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise
    except PermissionError as error:
        if error.errno == errno.EROFS:
            raise
        raise _no_permission(url) from None
    except TimeoutError:
        told = "no answer in time; check the address and the network"
        raise TimeoutError(errno.ETIMEDOUT, told) from None
    except Exception as error:  # each has kinds of its own
        if getattr(error, "status", None) in (401, 403):
            raise _no_permission(url) from None
        raise OSError(getattr(error, "errno", None) or errno.EIO, _words_of(error, url)) from None


def check_keys(url: str) -> None:
    """Raise UsageError for an address of a store that takes no keys in it, and would take them for
    a part of the bucket's name."""
    if _scheme(url) in ("s3", "s3a", "gs", "gcs") and "@" in urlsplit(url).netloc:
        told = f"keys do not go into the address; set {_CREDENTIALS[_scheme(url)]}"
        raise UsageError(f"{without_secrets(url)}: {told}")


def without_secrets(text: str) -> str:
    """A text without users and passwords of the addresses in it, and without their queries."""
    text = re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\"]*", r"\1?...", text)
    text = re.sub(r"://[^/@\s]+:(?![0-9]+(?:/|$))[^@\s]*@", "://...@", text)
    return re.sub(r"://[^/@\s]*@", "://...@", text)


def _words_of(error: Exception, url: str) -> str:
    kind = type(error).__name__
    credentials = _CREDENTIALS.get(_scheme(url), "the account")
    if kind in _WITHOUT_CREDENTIALS:
        return f"no credentials; set {credentials}"
    text = getattr(error, "strerror", None) or str(error) or kind
    text = without_secrets(text.replace(url, without_secrets(url)))
    if _UNREACHED.fullmatch(kind):
        text = f"{text.rstrip('.')}; check the address and the network"
    return text


def _no_permission(url: str) -> PermissionError:
    named = _CREDENTIALS.get(_scheme(url))
    told = f"check {named}, and what they allow" if named else "check the account"
    return PermissionError(errno.EACCES, f"no permission; {told}")


def _missing_bucket(system: Any, path: str, url: str) -> str:
    """The bucket of a path, where the store says that there is none of that name."""
    bucket = path.strip("/").partition("/")[0]
    if _scheme(url) not in WITH_BUCKETS or not bucket:
        return ""
    try:
        system.info(bucket)
    except FileNotFoundError:
        return bucket.rpartition("@")[2]
    except Exception:
        return ""
    return ""


def _scheme(url: str) -> str:
    return urlsplit(url).scheme
