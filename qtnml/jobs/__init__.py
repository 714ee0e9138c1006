"""A durable ledger of jobs: written down before they are sent, never bought twice."""

from qtnml.jobs.plan import Plan
from qtnml.jobs.store import JobStore
from qtnml.jobs.tables import State
from qtnml.jobs.unstored import Unstored

__all__ = ["JobStore", "Plan", "State", "Unstored"]
