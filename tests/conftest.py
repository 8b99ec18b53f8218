"""The suite's strictness: dtype and rank promotion, typed shapes, eight fake devices."""

import os
import signal
from pathlib import Path

from jaxlib.version import __version_info__ as jaxlib_version

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "vqe_jax" / "jit"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Small programs that run once: compiling is most of their time, and takes a third of it without
# LLVM's passes and XLA's way of fusing. Convolutions and products are library calls either way.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false" if jaxlib_version < (0, 12) else "",  # the only way
        os.environ.get("XLA_FLAGS", ""),
    )
).rstrip()

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook("vqe_jax", "beartype.beartype")

# Compiling takes as long as it takes; a property is not about time.
hypothesis.settings.register_profile("vqe_jax", deadline=None)
hypothesis.settings.load_profile("vqe_jax")

# Started in the background, a suite ignores Ctrl-C, and so would the programs that it interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("VQE_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden files, official weights and real clips that are not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"needs golden files and clips; {SHARED} is absent (set VQE_SHARED)")
    return SHARED
