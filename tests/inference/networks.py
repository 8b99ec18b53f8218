"""Three small networks, one for each kind of context."""

import jax
import jax.numpy as jnp

from vqe_jax.models import Context, Network
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn.layers import Conv


def variables_of(network, seed=0):
    return initial_variables(network, jax.random.key(seed))


class WindowNet(Network):
    """Two convolutions over three clamped neighbors, past 1 and future 1."""

    @property
    def context(self):
        return Context(past=1, future=1, multiple=4, receptive_field=2)

    def setup(self):
        self.head, self.tail = Conv(4), Conv(self.channels)

    def forward(self, clip, *, side, train):
        ends = [clip[:, :1], clip, clip[:, -1:]]
        return self.forward_inner(jnp.concatenate(ends, axis=1), side=side)

    def forward_inner(self, clip, *, side, train=False):
        stacked = jnp.concatenate([clip[:, :-2], clip[:, 1:-1], clip[:, 2:]], axis=-1)
        return clip[:, 1:-1] + self.tail(jnp.tanh(self.head(stacked)))


class StateNet(Network):
    """A convolutional recurrence with one frame of look-ahead; gain > 1 makes it run away."""

    gain: float = 0.5
    field: int | None = 2

    @property
    def context(self):
        return Context(
            future=1,
            recurrence="forward",
            multiple=2,
            min_side=6,
            receptive_field=self.field,
            state_scale={"hidden": 1},
        )

    def setup(self):
        self.head, self.tail = Conv(4), Conv(self.channels)

    def forward(self, clip, *, side, train):
        state, frames = None, []
        ahead = jnp.concatenate([clip[:, 1:], clip[:, -1:]], axis=1)
        for i in range(clip.shape[1]):
            window = jnp.stack([clip[:, i], ahead[:, i]], axis=1)
            state, frame = self.advance(state, window, side=side)
            frames.append(frame)
        return jnp.stack(frames, axis=1)

    def advance(self, state, window, *, side):
        seen = jnp.concatenate([window[:, 0], window[:, 1]], axis=-1)
        fresh = jnp.tanh(self.head(seen))
        if state is not None:
            fresh = fresh + self.gain * state["hidden"]
        return {"hidden": fresh}, window[:, 0] + 0.1 * self.tail(fresh)


class BothNet(Network):
    """A running mean from each side; sums the two."""

    @property
    def context(self):
        return Context(past=1, future=1, recurrence="both", multiple=4)

    @property
    def sweeps(self):
        return ("backward", "forward")

    def setup(self):
        self.head, self.tail = Conv(3), Conv(self.channels)

    def forward(self, clip, *, side, train):
        count = clip.shape[1]
        index = [[max(i - 1, 0), i, min(i + 1, count - 1)] for i in range(count)]
        windows = [jnp.stack([clip[:, j] for j in around], axis=1) for around in index]
        kept, state, frames = [None] * count, None, []
        for i in reversed(range(count)):
            state, kept[i] = self.advance_sweep(0, state, windows[i], (), side=side)
        state = None
        for i in range(count):
            state, frame = self.advance_sweep(1, state, windows[i], (kept[i],), side=side)
            frames.append(frame)
        return jnp.stack(frames, axis=1)

    def advance_sweep(self, index, state, window, kept, *, side):
        before = 0.0 if state is None else 0.8 * state
        if index == 0:
            state = self.head(window[:, 1] - window[:, 2]) + before
            return state, {"feature": state}
        state = self.head(window[:, 1] + window[:, 0]) + before
        return state, window[:, 1] + 0.1 * self.tail(state + kept[0]["feature"])
