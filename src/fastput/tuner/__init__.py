"""Decides the settings of a transfer, purely: values in, values out."""

from fastput.tuner.decide import Bounds, State, begin, decide, settled
from fastput.tuner.level import Limit
from fastput.tuner.sample import Lack, Sample
from fastput.tuner.settings import Settings
from fastput.tuner.settled import Settled

__all__ = ["Bounds", "Lack", "Limit", "Sample", "Settings", "Settled", "State", "begin", "decide", "settled"]
