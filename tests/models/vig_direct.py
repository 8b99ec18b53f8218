"""VIG as its figure draws it: five slices through the blocks at every frame (Eq. 8 to 12)."""

import jax.numpy as jnp

from vqe_jax.models.vig import VIG
from vqe_jax.nn.recurrence import scan_time


class DirectVIG(VIG):
    """The same parameters and the same function as VIG, with more work and at full size."""

    _fold = 1

    def forward(self, clip, *, side, train):
        features = self._features(clip, side)
        frames = clip.shape[1]
        held = jnp.concatenate([features, *[features[:, -1:]] * self.lookahead], axis=1)
        windows = jnp.stack([held[:, k : k + frames] for k in range(self.lookahead + 1)], axis=2)

        def cell(module, hidden, window):
            slices = list(jnp.moveaxis(window, 1, 0))
            if module.recurrent:
                slices = [module._bounded(hidden), *slices]
            hidden = module._filter(slices)
            return hidden, hidden

        start = jnp.zeros_like(features[:, 0])
        hidden = scan_time(self, start, windows, method=cell, remat=self.remat)[1]
        return self.fusion(hidden).astype(clip.dtype) + clip

    def advance(self, state, window, *, side):
        slices = list(jnp.moveaxis(self._features(window, side), 1, 0))
        hidden = jnp.zeros_like(slices[0]) if state is None else state
        hidden = self._filter([self._bounded(hidden), *slices])
        return hidden, self.fusion(hidden).astype(window.dtype) + window[:, 0]

    def _filter(self, slices):
        down1 = self.tsd1(slices)
        down2 = self.tsd2(down1)
        (bottom,) = self.td(down2)
        skip2, skip1 = (self._mean(sum(x[1:], x[0]), len(x)) for x in (down2, down1))
        return self.decoder(bottom, skip2, skip1)
