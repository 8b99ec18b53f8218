"""pSMGF, first of track 2 of NTIRE 2021: a finished SMGF, then two ESRGANs merged by a mask.

    python -m vqe_jax.weights fetch vgg19
    python train.py --config configs/psmgf.py --workdir runs/psmgf --config.data.data_dir=DIR

It starts from runs/smgf/last.safetensors (configs/smgf.py), which is held throughout; one
generator learns on LDV, the other on other videos (data set `clips`), then their mask. L1 + FFT +
RaGAN + perceptual loss. Published: MOS 71 of 100 and LPIPS 0.0429 (compressed video: 36 and
0.0752), 9.45 s a frame. Theirs were ESRGANs trained on DIV2K before. Weights are not published:
ESRGAN's (L1 0.01, RaGAN 0.005, perceptual 1), the spectrum's like L1's. It wants a large GPU.

Variants:
  small, demo  narrow, all on the demo data, SMGF first, without perceptual loss, whose weights must
               be fetched: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import common, smgf
from vqe_jax.recipes.common import variants

_SMGF = "runs/smgf/last.safetensors"
_PARTS = ("first", "second", "gate", "generator1", "generator2", "generator_gate")
_TRAINED = {"first": "generator1", "second": "generator2", "fused": "generator_gate"}
_STEPS = {"first": 200_000, "second": 200_000, "fused": 50_000}
_SMALL = {"rrdb_features": 8, "rrdb_growth": 4, "rrdb_blocks": 1, "gives": "residual"}
_FRESH = tuple(f"^{part}/" for part in _PARTS[3:])


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return _small()
    spectrum = ("fft", 0.01, {"orthonormal": True})
    terms = common.adversarial(("l1", 0.01), spectrum, ("vgg_pyramid", 1.0), weight=0.005)
    stages: list[dict[str, Any]] = []
    for output, part in _TRAINED.items():
        start = {"start": _SMGF, "fresh": _FRESH} if not stages else {"start": "previous"}
        stages.append(common.stage(part, _STEPS[output], 1e-4, **terms, **_held(output), **start))
    stages[1]["data"] = {"dataset": "clips", "config_name": "qp37"}
    data = common.ldv("track2", frames=1, crop=128, batch=16)
    return common.run("psmgf", {}, *stages, data=data, eval=common.by_eye())


def _held(output: str) -> dict[str, Any]:
    """Keys of a stage that trains one part alone."""
    others = (part for part in _PARTS if part != _TRAINED[output])
    return {"rates": common.frozen(*others), "model_kwargs": {"output": output}}


def _small() -> dict[str, Any]:
    """SMGF's models in one stage, then both generators in one, with the masks as they come."""
    options: dict[str, Any] = {"discriminator": {"features": 8}}
    options |= {"discriminator_learning_rate": 5e-4}
    terms = (("l1", 1.0), ("fft", 1.0, {"orthonormal": True}))
    first = common.fast_stage(
        "smgf",
        1_000,
        1e-3,
        ema=0.99,
        init=(*smgf.INIT, ("^generator", "keep"), ("/conv_last/", "zeros")),
        losses=({"name": "l2", "weight": 30.0, "options": {}, "of": "smgf"},),
        rates=common.quiet_end("/reconstruction/") + common.frozen(*_PARTS[3:]),
    )
    second = common.stage(
        "generators",
        100,
        1e-3,
        **common.adversarial(*terms, weight=0.002, sample_every=0, **options),
        start="previous",
        data={"crop": 64, "batch": 2},
        rates=common.frozen("first", "second", "gate"),
        schedule=common.cosine(1e-5),
        ema=0.98,
    )
    data = common.demo(frames=1, crop=32, batch=4, color="rgb")
    return common.small("psmgf", {**smgf.SMALL, **_SMALL}, first, second, data=data)
