import jax
import numpy as np
import pytest

from vqe_jax.perceptual import InceptionV3
from vqe_jax.weights import load_perceptual
from vqe_jax.weights.perceptual_parts import PARTS

torch = pytest.importorskip("torch")
F = torch.nn.functional


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def reference_features(state, images):
    """The network by PyTorch's functions, written down from its description, branch by branch."""

    def conv(x, name, stride=1, pad=(0, 0)):
        y = F.conv2d(x, state[f"{name}.conv.weight"], None, stride, pad)
        norm = [state[f"{name}.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(y, *norm, False, 0.0, 0.001))

    def chain(x, name, *steps):
        for number, pad in steps:
            x = conv(x, f"{name}_{number}", pad=pad)
        return x

    x = F.interpolate(images, (299, 299), mode="bilinear", align_corners=False) * 2 - 1
    x = conv(conv(x, "Conv2d_1a_3x3", 2), "Conv2d_2a_3x3")
    x = F.max_pool2d(conv(x, "Conv2d_2b_3x3", pad=(1, 1)), 3, 2)
    x = F.max_pool2d(conv(conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    for m in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        five = chain(x, f"{m}.branch5x5", (1, (0, 0)), (2, (2, 2)))
        three = chain(x, f"{m}.branch3x3dbl", (1, (0, 0)), (2, (1, 1)), (3, (1, 1)))
        pooled = conv(average(x), f"{m}.branch_pool")
        x = torch.cat([conv(x, f"{m}.branch1x1"), five, three, pooled], 1)
    m = "Mixed_6a"
    double = chain(x, f"{m}.branch3x3dbl", (1, (0, 0)), (2, (1, 1)))
    double = conv(double, f"{m}.branch3x3dbl_3", 2)
    x = torch.cat([conv(x, f"{m}.branch3x3", 2), double, F.max_pool2d(x, 3, 2)], 1)
    for m in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        seven = chain(x, f"{m}.branch7x7", (1, (0, 0)), (2, (0, 3)), (3, (3, 0)))
        steps = [(1, (0, 0)), (2, (3, 0)), (3, (0, 3)), (4, (3, 0)), (5, (0, 3))]
        double = chain(x, f"{m}.branch7x7dbl", *steps)
        pooled = conv(average(x), f"{m}.branch_pool")
        x = torch.cat([conv(x, f"{m}.branch1x1"), seven, double, pooled], 1)
    m = "Mixed_7a"
    three = conv(conv(x, f"{m}.branch3x3_1"), f"{m}.branch3x3_2", 2)
    seven = chain(x, f"{m}.branch7x7x3", (1, (0, 0)), (2, (0, 3)), (3, (3, 0)))
    seven = conv(seven, f"{m}.branch7x7x3_4", 2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    for m in ("Mixed_7b", "Mixed_7c"):
        pool = average(x) if m == "Mixed_7b" else F.max_pool2d(x, 3, 1, 1)
        three = conv(x, f"{m}.branch3x3_1")
        double = chain(x, f"{m}.branch3x3dbl", (1, (0, 0)), (2, (1, 1)))
        halves = [
            conv(y, f"{m}.{branch}{side}", pad=pad)
            for y, branch in ((three, "branch3x3_2"), (double, "branch3x3dbl_3"))
            for side, pad in (("a", (0, 1)), ("b", (1, 0)))
        ]
        one, pooled = conv(x, f"{m}.branch1x1"), conv(pool, f"{m}.branch_pool")
        x = torch.cat([one, *halves, pooled], 1)
    return x.mean((2, 3))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Seeded weights under the official names, with what the official file has besides."""
    rng = np.random.default_rng(5)
    state = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for tensor in PARTS["inception"].tables()[1].values():
        name, shape = tensor.names[0], tensor.shape
        if len(shape) == 4:
            value = rng.standard_normal(shape)
            value *= np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * rng.standard_normal(shape)
        state[name] = torch.from_numpy(value.astype(np.float32))
        if name.endswith("running_var"):
            state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(1)
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-seeded.pth"
    torch.save(state, path)
    return state, path


def test_checkpoint_loads_and_its_features_equal_pytorchs(checkpoint):
    state, path = checkpoint
    variables = load_perceptual("inception", path=path).variables
    images = np.random.default_rng(6).random((1, 97, 120, 3), np.float32)
    with torch.no_grad():
        expected = reference_features(state, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    found = jax.jit(InceptionV3().apply)(variables, images)
    assert found.shape == (1, 2048)
    assert float(expected.std()) > 0.01
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * float(expected.abs().max()))
