import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference.cli import main
from vqe_jax.models import Side
from vqe_jax.weights import ModelFile, load_model, save_model


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A narrow network with random weights in a model file."""
    rng = np.random.default_rng(0)
    fields = {"features": 4, "blocks": 1, "folded": True}
    network = models.build("repnet", **fields)
    drawn = network.init(jax.random.key(0), jnp.zeros((1, 1, 8, 8, 1)))
    variables = jax.tree.map(lambda p: rng.normal(0, 0.1, p.shape).astype(np.float32), drawn)
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_model(path, ModelFile("repnet", fields, variables))
    return path


def test_what_is_exported_gives_the_same_picture_without_the_package(small, tmp_path):
    assert main(["export", str(small), str(tmp_path / "small.jaxexport")]) == 0
    rng = np.random.default_rng(1)
    frames, qps = rng.random((3, 12, 20, 1), np.float32), np.array([22, -1, 40], np.float32)
    codecs = np.array([1, 0, 4], np.int32)
    np.savez(tmp_path / "in.npz", frames=frames, qps=qps, codecs=codecs)
    script = f"""
        import pathlib, sys
        import jax, numpy as np
        from jax import export
        folder = pathlib.Path({str(tmp_path)!r})
        given = np.load(folder / "in.npz")
        run = export.deserialize(bytearray((folder / "small.jaxexport").read_bytes())).call
        told = given["qps"], given["codecs"]
        # Another size, another batch.
        one = run(given["frames"][:1, :8, :4], *(x[:1] for x in told))
        np.savez(folder / "out.npz", all=run(given["frames"], *told), one=one)
        assert "vqe_jax" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=tmp_path)
    file, out = load_model(small), np.load(tmp_path / "out.npz")
    told = Side(frame_qp=qps[:, None], codec=codecs[:, None])
    first = jax.tree.map(lambda x: x[:1], told)
    for name, part, side in (("all", frames, told), ("one", frames[:1, :8, :4], first)):
        expected = file.build().apply(file.variables, jnp.asarray(part)[:, None], side=side)[:, 0]
        np.testing.assert_allclose(out[name], expected, atol=1e-5)


def test_the_text_is_stablehlo(small, tmp_path):
    main(["export", str(small), str(tmp_path / "small.mlir")])
    assert "stablehlo.convolution" in (tmp_path / "small.mlir").read_text()


def test_networks_of_several_frames_are_refused(tmp_path):
    with pytest.raises(UserError, match="more than the frame"):
        main(["export", "vig_qp37", str(tmp_path / "vig.jaxexport")])
    assert not (tmp_path / "vig.jaxexport").exists()
