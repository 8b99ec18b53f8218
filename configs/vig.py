"""VIG: Valid Information Guidance Network for Compressed Video Quality Enhancement (2023).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/vig.py --workdir runs/vig

For the packaged model `any`:

  python -m vqe_jax.data clips --data-dir data --source CLIPS --recipe mixed --encodings 10 \
    --frames 64 --augment 1 --name mixed_varied
  python -m vqe_jax.data clips --data-dir data --source CLIPS --recipe mixed --encodings 10
  python -m vqe_jax.data scenes --data-dir data --source PHOTOS --recipe mixed --encodings 6
  python train.py --config configs/vig.py:any --workdir runs/any

The default is the paper's recipe at QP 37: truth guidance with masks of 32, 16, 8 and 4 pixels
(5,000 steps each), then 100,000 steps on compressed input; clips of 13 frames, crops of 128, batch
32. Published gain in PSNR-Y on the 18 test sequences: 0.83 / 0.77 / 0.73 / 0.63 dB at QP 37 / 32 /
27 / 22. A step of this size takes tens of seconds on two CPU cores: it wants a GPU or a TPU.

Variants:
  qp22, qp27, qp32, qp37            the QP (default: qp37)
  no_tgd                            ablation: no truth guidance
  mask32, mask16, mask8, mask4      ablation: one mask size for all 20,000 guided steps
  ratio50, ratio70, ratio80, ratio90, ratio95  ablation: share of pixels shown raw (default: 90)
  no_tf                             ablation: no temporal filtering (the current frame alone)
  no_ud                             ablation: no down- and upsampling
  packaged                          the recipe of the packaged model `vig_qp37`
  any                               the recipe of the packaged model `any`: mixed encoders, told
                                    what the stream says (data: `clips --recipe mixed`, `scenes`)
  small, demo                       a narrow network, a few minutes on two cores (data set `demo`)

Hardware, time and results of `packaged` and `demo`: docs/results.md.
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_GUIDED_STEPS, _FINE_TUNE_STEPS = 20_000, 100_000

# A quarter of the paper's width where pixels are many, so that two CPU cores can train it.
_NARROW = {
    "width": 8,
    "down_widths": (16, 32, 32),
    "state_bound": 4.0,
}
# The last layer is zero, so that training starts from the compressed picture.
_INIT = (*HIGH_PASS, ("^fusion/", "zeros"))
# For files of any encoder: half of the paper's width.
_MIDDLE = {
    "width": 16,
    "down_widths": (32, 48, 48),
    "state_bound": 4.0,
}
_PACKAGED = (
    "trained by configs/vig.py:packaged on ten permissively licensed clips "
    "(1,129 frames and five variants of each clip), x265 low-delay P at QP 37"
)

_ANY = "trained by configs/vig.py:any on permissively licensed clips and photographs"


def _stage(name: str, steps: int, length: int, offset: int = 0, **changes: Any) -> dict[str, Any]:
    return common.stage(
        name,
        steps,
        3e-4,
        optimizer=common.adam(0.9, 0.99),
        losses=(("charbonnier", 1.0),),
        schedule=common.cosine(1e-4, length=length, offset=offset),
        **changes,
    )


def _full_stages(patches: tuple[int, ...], ratio: float) -> tuple[dict[str, Any], ...]:
    """Truth guidance, one cosine over all its masks, then fine-tuning with a cosine of its own."""
    each = _GUIDED_STEPS // max(len(patches), 1)
    guided = [
        _stage(
            f"guided{patch}",
            each,
            length=_GUIDED_STEPS,
            offset=index * each,
            start="previous" if index else "scratch",
            keep_optimizer=index > 0,
            corruption={"name": "truth_guidance", "patch": patch, "ratio": ratio},
        )
        for index, patch in enumerate(patches)
    ]
    start = "previous" if guided else "scratch"
    return (*guided, _stage("finetune", _FINE_TUNE_STEPS, length=_FINE_TUNE_STEPS, start=start))


def _packaged_stages() -> tuple[dict[str, Any], ...]:
    """Short clips first; clips of 13 frames last, so that the state has seen what it grows to."""
    short = common.fast_stage(
        "short",
        12_000,
        init=_INIT,
        schedule=common.cosine(3e-4, warmup=200),
        data={"frames": 5, "batch": 8},
    )
    long = common.fast_stage(
        "long",
        2_000,
        3e-4,
        start="previous",
        start_averaged=False,
        schedule=common.cosine(1e-5),
        data={"frames": 13, "batch": 4},
    )
    return short, long


def _any_stages() -> tuple[dict[str, Any], ...]:
    """Squared error, then what PSNR counts; then what the stream says is told; long clips last."""
    log_mse = {"losses": (("log_mse", 0.1, {"floor": 3e-6}),), "start": "previous"}
    told = {
        **log_mse,
        "model_kwargs": {"told": True},
        "corruption": {"name": "untold", "ratio": 0.3},
    }
    # Of the packaged weights, `blind` was two such stages, of 2,400 and 2,500 steps.
    short = common.fast_stage("short", 4_600, init=_INIT, schedule=common.cosine(1e-5, warmup=300))
    blind = common.fast_stage("blind", 4_900, 1e-3, **log_mse)
    end = common.cosine(2e-5, warmup=50)
    some = common.fast_stage(
        "told",
        4_000,
        1e-3,
        **told,
        fresh=("^modulation/",),
        schedule=common.cosine(1e-4, warmup=50),
    )
    long = common.fast_stage(
        "long", 800, 2e-4, **told, schedule=end, data={"frames": 13, "batch": 3}
    )
    return short, blind, some, long


@variants
def get_config(
    qp: Literal[22, 27, 32, 37] = 37,
    mask: Literal[32, 16, 8, 4] | None = None,
    ratio: Literal[50, 70, 80, 90, 95] = 90,
    tgd: bool = True,
    tf: bool = True,
    ud: bool = True,
    width: Literal["full", "packaged", "any", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    ablated: dict[str, Any] = {} if ud else {"scale": 1}
    if not tf:
        ablated |= {"recurrent": False, "lookahead": 0, "temporal_kernels": (1, 1, 1)}
    fields = {**_NARROW, **ablated}
    if width == "small":
        few = common.fast_stage("demo", 1_500, init=_INIT, schedule=common.cosine(2e-5, warmup=100))
        judged = {"split": "val", "every": 500}
        return common.small("vig", fields, few, frames=5, eval=judged)
    if width == "any":
        mixed = ("mixed_varied", "scenes/mixed")
        data = {"dataset": "clips", "config_name": mixed, "frames": 5, "crop": 64, "batch": 8}
        judged = {"every": 1_000, "config_name": "mixed", "frames": 12}
        return common.narrow(
            "vig", _MIDDLE | ablated, *_any_stages(), data=data, eval=judged, source=_ANY
        )
    if width == "packaged":
        data = common.mfqe_v2(qp, crop=64)
        own: dict[str, Any] = {
            "eval": {"every": 2_000},
            "checkpoint": {"every": 2_000},
            "source": _PACKAGED,
        }
        return common.narrow("vig", fields, *_packaged_stages(), data=data, **own)
    patches = (32, 16, 8, 4) if mask is None else (mask,)
    stages = _full_stages(patches if tgd else (), ratio / 100)
    data = common.mfqe_v2(qp, frames=13, crop=128, batch=32)
    return common.run("vig", ablated, *stages, data=data)
