"""The durable record of what is bought: submissions, leases, budgets and results in one database.

`schema` has the tables, `migrations` brings older ones up to date, `transitions` says which state may follow
which, `leases` who may drive a submission, `claiming` writes submissions down, `stored` reads what was
measured.
"""

from qtnml.ledger.budgets import Amounts, Budget, Price
from qtnml.ledger.ledger import Ledger
from qtnml.ledger.schema import OPEN, State
from qtnml.ledger.submission import Submission

__all__ = ["OPEN", "Amounts", "Budget", "Ledger", "Price", "State", "Submission"]
