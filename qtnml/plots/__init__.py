"""Figures as matplotlib `Figure` objects; no window is opened and no global state is changed."""

from qtnml.plots.circuits import plot_circuit
from qtnml.plots.generative import plot_explanation, plot_record, plot_strings
from qtnml.plots.networks import plot_network
from qtnml.plots.trained import (
    plot_confusion,
    plot_noise_study,
    plot_samples,
    plot_sensitivity,
    plot_training,
)

__all__ = [
    "plot_circuit",
    "plot_confusion",
    "plot_explanation",
    "plot_network",
    "plot_noise_study",
    "plot_record",
    "plot_samples",
    "plot_sensitivity",
    "plot_strings",
    "plot_training",
]
