"""The `qtnml` command."""

from qtnml.cli import circuits, compiling, predicting, studying, training
from qtnml.cli.app import app, main

__all__ = ["app", "circuits", "compiling", "main", "predicting", "studying", "training"]
