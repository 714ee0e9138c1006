"""Explanations of a generative model: what it has learnt, and why a record has its likelihood."""

from qtnml.explain.record import FeatureExplanation, RecordExplanation, explain_record
from qtnml.explain.whole import ModelExplanation, explain_model

__all__ = [
    "FeatureExplanation",
    "ModelExplanation",
    "RecordExplanation",
    "explain_model",
    "explain_record",
]
