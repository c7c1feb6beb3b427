"""What values the parameters of a form may have."""

import pyworkflow.protocol.params as params

from ..constants import AUTOMATIC


class AutomaticOr(params.Validator):
    """Accepts -1, which means automatic, and whatever lies within bounds."""

    def __init__(self, low, high=None):
        self.low, self.high = low, high

    def __call__(self, value):
        if value is None or value == AUTOMATIC:
            return []
        if value < self.low or (self.high is not None and value > self.high):
            to = "" if self.high is None else f" and at most {self.high}"
            return [f"must be at least {self.low}{to}, or {AUTOMATIC} to let the program choose"]
        return []


def within(low, high):
    return params.Range(low, high, error=f"must lie between {low} and {high}")
