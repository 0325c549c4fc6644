"""Predictions against ground truth: scores under a protocol, calibration, routing, and what a model costs."""

from lookharder.evaluate.evaluation import Evaluation, Protocol, evaluate, protocol

__all__ = ["Evaluation", "Protocol", "evaluate", "protocol"]
