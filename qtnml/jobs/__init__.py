"""Running circuits through a ledger: plans, runs, jobs with results, recovery. Nothing is paid for twice."""

from qtnml.jobs.job import Job, Status
from qtnml.jobs.patience import Patience
from qtnml.jobs.plan import Plan
from qtnml.jobs.request import Freshness, Part
from qtnml.jobs.result import Result
from qtnml.jobs.store import JobStore, store_for
from qtnml.jobs.unstored import Unstored
from qtnml.ledger import Amounts, Price, State

__all__ = [
    "Amounts",
    "Freshness",
    "Job",
    "JobStore",
    "Part",
    "Patience",
    "Plan",
    "Price",
    "Result",
    "State",
    "Status",
    "Unstored",
    "store_for",
]
