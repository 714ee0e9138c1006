"""The durable record of submitted circuits: submissions, leases, budgets and results in one database.

`schema` has the tables, and `migrations` updates older ones. `transitions` defines the allowed changes of
state, and `leases` who may drive a submission. `claiming` records submissions, and `stored` reads results.
"""

from qtnml.ledger.budgets import Amounts, Budget, Price
from qtnml.ledger.ledger import Ledger
from qtnml.ledger.schema import OPEN, State
from qtnml.ledger.submission import Submission

__all__ = ["OPEN", "Amounts", "Budget", "Ledger", "Price", "State", "Submission"]
