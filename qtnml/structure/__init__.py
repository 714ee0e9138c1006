"""Structure of networks: rooted trees, widths in qubits or levels, builders. Holds no parameters."""

from qtnml.structure.builders import (
    balanced,
    chain,
    chow_liu,
    dependence_tree,
    from_brackets,
    from_parents,
)
from qtnml.structure.information import (
    mutual_information,
    predictive_information,
    seriation,
    spanning_tree,
)
from qtnml.structure.sites import Sites, balanced_site_tree, site_chain
from qtnml.structure.topologies import (
    balanced_tree,
    chow_liu_tree,
    mps,
    topology_from_parents,
    with_qubits,
    with_reuploads,
)
from qtnml.structure.topology import Node, Topology, structure_from_dict
from qtnml.structure.tree import Tree

__all__ = [
    "Node",
    "Sites",
    "Topology",
    "Tree",
    "balanced",
    "balanced_site_tree",
    "balanced_tree",
    "chain",
    "chow_liu",
    "chow_liu_tree",
    "dependence_tree",
    "from_brackets",
    "from_parents",
    "mps",
    "mutual_information",
    "predictive_information",
    "seriation",
    "site_chain",
    "spanning_tree",
    "structure_from_dict",
    "topology_from_parents",
    "with_qubits",
    "with_reuploads",
]
