"""Many runs of one function: on local cores or a Dask cluster, results kept as they come."""

from qtnml.study.engine import ENGINES
from qtnml.study.results import ResultsFile, task_key
from qtnml.study.runner import run_study

__all__ = ["ENGINES", "ResultsFile", "run_study", "task_key"]
