"""Golden files of the official networks as our arrays."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np

from vqe_jax import weights


@dataclasses.dataclass(frozen=True)
class Golden:
    data: dict
    atol: dict

    @property
    def state_dict(self):
        return {k[3:]: v for k, v in self.data.items() if k.startswith("sd/")}

    def variables(self, name, **kwargs):
        return weights.from_torch(name, self.state_dict, **kwargs)

    def clip(self, key):
        """Frames stored as ``[b, t, h, w]``."""
        return jnp.asarray(self.data[key])[..., None]

    def check(self, got, key):
        expected, atol = self.data[f"out/{key}"], self.atol[key]
        np.testing.assert_allclose(got, expected, atol=atol, rtol=0, err_msg=key)


def load(shared, name):
    with np.load(shared / f"golden/{name}.npz") as file:
        data = dict(file)
    return Golden(data, json.loads(str(data["meta"]))["tolerance"]["atol"])
