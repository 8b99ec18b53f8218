"""VIG: Valid Information Guidance Network for Compressed Video Quality Enhancement (2023).

  python -m vqe_jax.data mfqe_v2 --data_dir data --source MFQEv2 --qp 37
  python train.py --config configs/vig.py --workdir runs/vig

The default is the paper's recipe at QP 37: truth guidance with masks of 32, 16, 8 and 4 pixels
(5,000 steps each), then 100,000 steps on compressed input; clips of 13 frames, crops of 128, batch
32. Published gain in PSNR-Y on the 18 test sequences: 0.83 / 0.77 / 0.73 / 0.63 dB at QP 37 / 32 /
27 / 22. A step of this size takes tens of seconds on two CPU cores: it wants a GPU or a TPU.

Variants:
  default, qp22, qp27, qp32, qp37   the paper's recipe (default: qp37)
  no_tgd                            ablation: no truth guidance
  mask32, mask16, mask8, mask4      ablation: one mask size for all 20,000 guided steps
  ratio50, ratio70, ratio80, ratio95  ablation: share of pixels shown raw
  no_tf                             ablation: no temporal filtering (the current frame alone)
  no_ud                             ablation: no down- and upsampling
  clips                             the paper's recipe on your own folder (data set `clips`)
  packaged                          the recipe of the packaged model `vig_qp37`
  demo                              a narrow network, a few minutes on two cores (data set `demo`)
  smoke                             a handful of steps on the data set `demo`, to see it run

Hardware, time and results of `packaged` and `demo`: docs/results.md.
"""

import functools
from collections.abc import Callable

from ml_collections import ConfigDict

from vqe_jax.errors import UserError, near_misses

_PATCHES = (32, 16, 8, 4)
_GUIDED_STEPS = 5_000
_FINE_TUNE_STEPS = 100_000

# A quarter of the paper's width where pixels are many, so that two CPU cores can train it.
_NARROW = {
    "width": 8,
    "down_widths": (16, 32, 32),
    "zero_output": True,
    "weight_init": "high_pass",
    "state_bound": 4.0,
}


def _cosine(length: int, offset: int = 0) -> dict:
    return {"name": "cosine", "end": 1e-4, "length": length, "offset": offset}


def _paper_stage(name: str, steps: int, **fields) -> dict:
    return {
        "name": name,
        "steps": steps,
        "learning_rate": 3e-4,
        "optimizer": {"name": "adam", "betas": (0.9, 0.99)},
        "losses": (("charbonnier", 1.0),),
        **fields,
    }


def _paper_stages(patches: tuple[int, ...], ratio: float) -> tuple[dict, ...]:
    """Truth guidance, one cosine over all its masks, then fine-tuning with a cosine of its own."""
    total = _GUIDED_STEPS * len(_PATCHES)
    each = total // len(patches) if patches else 0
    guided = [
        _paper_stage(
            f"guided{patch}",
            each,
            start="previous" if index else "scratch",
            keep_optimizer=index > 0,
            schedule=_cosine(total, index * each),
            corruption={"name": "truth_guidance", "patch": patch, "ratio": ratio},
        )
        for index, patch in enumerate(patches)
    ]
    last = _paper_stage(
        "finetune",
        _FINE_TUNE_STEPS,
        start="previous" if guided else "scratch",
        schedule=_cosine(_FINE_TUNE_STEPS),
    )
    return (*guided, last)


def _paper(
    qp: int, *, patches: tuple[int, ...] = _PATCHES, ratio: float = 0.9, **model_kwargs
) -> ConfigDict:
    config = ConfigDict()
    config.model = "vig"
    config.model_kwargs = ConfigDict(model_kwargs)
    config.data = ConfigDict(
        {"dataset": "mfqe_v2", "config_name": f"qp{qp}", "frames": 13, "crop": 128, "batch": 32}
    )
    config.stages = _paper_stages(patches, ratio)
    config.eval = ConfigDict({"split": "test", "every": 5_000})
    config.checkpoint = ConfigDict({"every": 1_000, "keep": 2})
    config.source = f"trained by configs/vig.py on MFQEv2 at QP {qp}"
    return config


def _narrow_stage(name: str, steps: int, frames: int, batch: int, rate: float, **fields) -> dict:
    """Squared error rather than Charbonnier: it is what PSNR measures, and it starts faster."""
    return {
        "name": name,
        "steps": steps,
        "learning_rate": rate,
        "optimizer": {"name": "adam", "betas": (0.9, 0.99), "clip_norm": 1.0},
        "losses": (("l2", 30.0),),
        "ema": 0.999,
        "data": {"frames": frames, "batch": batch},
        **fields,
    }


def _narrow(dataset: str, stages: tuple[dict, ...], *, every: int, source: str) -> ConfigDict:
    config = ConfigDict()
    config.model = "vig"
    config.model_kwargs = ConfigDict(_NARROW)
    config.data = ConfigDict(
        {"dataset": dataset, "config_name": "qp37", "frames": 5, "crop": 64, "batch": 8}
    )
    config.stages = stages
    config.eval = ConfigDict({"split": "val", "every": every})
    config.checkpoint = ConfigDict({"every": every, "keep": 2})
    config.source = source
    return config


def _packaged() -> ConfigDict:
    """Short clips first; clips of 13 frames last, so that the state has seen what it grows to."""
    stages = (
        _narrow_stage(
            "short",
            12_000,
            5,
            8,
            2e-3,
            schedule={"name": "cosine", "end": 3e-4, "warmup": 200},
        ),
        _narrow_stage(
            "long",
            2_000,
            13,
            4,
            3e-4,
            start="previous",
            start_averaged=False,
            schedule={"name": "cosine", "end": 1e-5},
        ),
    )
    return _narrow(
        "clips",
        stages,
        every=2_000,
        source="trained by configs/vig.py:packaged on ten permissively licensed clips "
        "(1,129 frames and five variants of each clip), x265 low-delay P at QP 37",
    )


def _on_clips(config: ConfigDict) -> ConfigDict:
    config.data.dataset = "clips"
    config.eval.split = "val"
    config.source = "trained by configs/vig.py:clips"
    return config


def _demo(steps: int) -> ConfigDict:
    stages = (
        _narrow_stage(
            "demo",
            steps,
            5,
            8,
            2e-3,
            schedule={"name": "cosine", "end": 2e-5, "warmup": min(100, steps)},
        ),
    )
    return _narrow(
        "demo", stages, every=max(steps // 3, 1), source="trained by configs/vig.py:demo"
    )


_VARIANTS: dict[str, Callable[[], ConfigDict]] = {
    "default": lambda: _paper(37),
    **{f"qp{qp}": functools.partial(_paper, qp) for qp in (22, 27, 32, 37)},
    "no_tgd": lambda: _paper(37, patches=()),
    **{f"mask{p}": functools.partial(_paper, 37, patches=(p,)) for p in _PATCHES},
    **{f"ratio{r}": functools.partial(_paper, 37, ratio=r / 100) for r in (50, 70, 80, 95)},
    "no_tf": lambda: _paper(37, recurrent=False, lookahead=0, temporal_kernels=(1, 1, 1)),
    "no_ud": lambda: _paper(37, scale=1),
    "clips": lambda: _on_clips(_paper(37)),
    "packaged": _packaged,
    "demo": lambda: _demo(1_500),
    "smoke": lambda: _demo(6),
}
VARIANTS = tuple(_VARIANTS)


def get_config(variant: str = "default") -> ConfigDict:
    """The config of a variant; see the top of this file.

    Raises:
      UserError: an unknown variant.
    """
    if variant not in _VARIANTS:
        hint = near_misses(variant, _VARIANTS)
        raise UserError(f"configs/vig.py has no variant {variant!r}{hint}")
    return _VARIANTS[variant]()
