"""Training losses: pure functions of a prediction and its target."""
