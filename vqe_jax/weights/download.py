"""Files fetched once into a cache, checked against their sha256."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from vqe_jax.errors import EnvironmentFailure
from vqe_jax.files import replacing

__all__ = ["Remote", "download", "offline"]

_BLOCK = 1 << 20
_TIMEOUT = 30  # seconds without an answer


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file on the net and what is known about it.

    Attributes:
      sha256: hexadecimal; only the leading digits where its publisher states no more.
      member: the file wanted, where ``url`` is a zip archive (a wheel).
    """

    url: str
    sha256: str
    license: str
    member: str = ""
    megabytes: float = 0.0

    @property
    def filename(self) -> str:
        """The name it is known by."""
        return (self.member or self.url).rsplit("/", 1)[-1]


def offline() -> bool:
    """Whether ``VQE_OFFLINE`` forbids downloads."""
    return os.environ.get("VQE_OFFLINE", "") not in ("", "0")


def _fetch(remote: Remote, part: Path) -> str:
    """Writes the file to ``part`` and returns its sha256."""
    digest = hashlib.sha256()
    with (
        urllib.request.urlopen(remote.url, timeout=_TIMEOUT) as answer,
        open(part, "wb") as out,
    ):
        while block := answer.read(_BLOCK):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _unpack(archive: Path, member: str) -> None:
    """Replaces an archive by one of its files."""
    with zipfile.ZipFile(archive) as files:
        data = files.read(member)
    archive.write_bytes(data)


def download(remote: Remote, folder: Path) -> Path:
    """Fetches a file unless it is there already.

    Returns:
      Its path. It appears under this name only when it is complete and its checksum agrees.

    Raises:
      EnvironmentFailure: no connection, downloads forbidden, or another file than expected.
    """
    path = folder / remote.filename
    if path.is_file():
        return path
    if offline():
        raise EnvironmentFailure(f"{remote.url} is not downloaded: VQE_OFFLINE is set")
    folder.mkdir(parents=True, exist_ok=True)
    size = f"{remote.megabytes:g} MB, " if remote.megabytes else ""
    print(f"fetching {remote.url} ({size}license: {remote.license})", file=sys.stderr)
    try:
        with replacing(path) as part:
            found = _fetch(remote, part)
            if not found.startswith(remote.sha256):
                raise EnvironmentFailure(
                    f"{remote.url} has sha256 {found[:16]}..., expected {remote.sha256[:16]}...: "
                    "cut short, or not the published file"
                )
            if remote.member:
                _unpack(part, remote.member)
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as err:
        raise EnvironmentFailure(f"{remote.url} cannot be downloaded ({err})") from None
    return path
