"""Predictions against ground truth: scores under a protocol, calibration, routing, and what a model costs."""

from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.metrics.protocol import Protocol

__all__ = ["Evaluation", "Protocol", "evaluate", "protocol"]
