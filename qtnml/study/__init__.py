"""Many runs of one function, on local cores or a Dask cluster; each result is stored at once."""

from qtnml.study.engine import ENGINES
from qtnml.study.options import add_engine_options, engine_options
from qtnml.study.results import ResultsFile, task_key
from qtnml.study.runner import run_study

__all__ = ["ENGINES", "ResultsFile", "add_engine_options", "engine_options", "run_study", "task_key"]
