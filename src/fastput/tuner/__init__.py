"""Decides the settings of a transfer, purely: values in, values out."""

from fastput.tuner.settings import Settings

__all__ = ["Settings"]
