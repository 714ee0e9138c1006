"""Make the network of `qtnml.mitigation.LearnedExtrapolation.pretrained`; see README.md.

python experiments/mitigation/train.py [--circuits 1500] [--out FILE]
"""

import argparse
from pathlib import Path

import numpy as np

import qtnml.mitigation
from qtnml.mitigation import LearnedExtrapolation, random_examples

OUT = Path(qtnml.mitigation.__file__).parent / "learned.qtnml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuits", type=int, default=1500, help="random circuits to learn from")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    examples = random_examples(arguments.circuits, np.random.default_rng(0))
    unseen = random_examples(max(10, arguments.circuits // 10), np.random.default_rng(1))
    network = LearnedExtrapolation.trained(examples, unseen)
    network.save(arguments.out)
    raw = np.sqrt(np.mean((unseen.noisy[:, 0] - unseen.clean) ** 2))
    print(f"error on unseen circuits {network.residual:.4f} (without mitigation {raw:.4f})")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
