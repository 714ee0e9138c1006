"""Approximate circuits of states: few two-qubit gates, trained on the exact fidelity."""
