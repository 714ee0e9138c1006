"""Soft labels from a teacher, and amplitude classifiers handed over to post-selected circuits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from qtnml import AmplitudeMPSClassifier, AmplitudeTreeClassifier, Teacher, TreeClassifier
from qtnml.contract import AmplitudeModel, Model
from qtnml.data import TableEncoder
from qtnml.encoding import AngleEncoding, get_encoding
from qtnml.errors import InvalidInputError
from qtnml.models.handover import handed_over
from qtnml.structure import Tree, balanced, balanced_tree, from_brackets, mps, with_qubits
from qtnml.train import CrossEntropy, MeanSquaredError, TrainingOptions, TrainingSet, train

X, y = make_blobs(120, 4, centers=3, cluster_std=2.5, random_state=0)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [CrossEntropy(sharpness=2), MeanSquaredError()])
def test_soft_labels_are_the_mean_of_hard_ones(loss: CrossEntropy, rng: np.random.Generator) -> None:
    model = Model(balanced_tree(4, 2, root_qubits=2), AngleEncoding())
    samples, shares = rng.uniform(size=(20, 4)), rng.dirichlet(np.ones(3), size=20)
    options = TrainingOptions(epochs=5, batch_size=1000, learning_rate=0.05, loss=loss)
    start = model.start(np.random.default_rng(1))
    soft = train(model, start, TrainingSet(samples, shares, np.ones(20)), options, np.random.default_rng(0))
    rows, labels = np.divmod(np.arange(60), 3)
    hard = train(
        model,
        start,
        TrainingSet(samples[rows], labels, shares.ravel()),
        options,
        np.random.default_rng(0),
    )
    # In single precision, of the same weights; later ones part where slopes are rounding.
    assert soft.history[0].loss == pytest.approx(hard.history[0].loss, rel=1e-5)
    assert soft.history[-1].loss == pytest.approx(hard.history[-1].loss, rel=0.02)
    assert soft.history[-1].loss < soft.history[0].loss


def test_a_teacher_shares_what_it_knows() -> None:
    teacher = LogisticRegression().fit(X, y)
    probabilities = teacher.predict_proba(X)
    used = np.ones(len(X), bool)
    found = Teacher(teacher, share=0.25, temperature=1.0).targets(X, y, np.arange(3), used)
    np.testing.assert_allclose(found, 0.25 * probabilities + 0.75 * np.eye(3)[y])
    softer = Teacher(probabilities, share=1.0, temperature=2.0).targets(X, y, np.arange(3), used)
    np.testing.assert_allclose(softer, np.sqrt(probabilities) / np.sqrt(probabilities).sum(1, keepdims=True))
    names = np.array(["a", "b", "c"])
    named = LogisticRegression().fit(X, names[y])
    np.testing.assert_allclose(
        Teacher(named, share=1.0, temperature=1.0).targets(X, y, names, used), probabilities, atol=1e-6
    )


@pytest.mark.slow
def test_what_the_teacher_says_is_learnt() -> None:
    # Labels without meaning: only the teacher knows.
    wrong = np.random.default_rng(0).permutation(y)
    teacher = LogisticRegression().fit(X, y)
    settings = {"bond_qubits": 2, "epochs": 60, "random_state": 0, "validation_fraction": 0.0}
    plain = TreeClassifier(**settings).fit(X, wrong)  # type: ignore[arg-type]
    taught = TreeClassifier(**settings).fit(X, wrong, teacher=Teacher(teacher, share=1.0))  # type: ignore[arg-type]
    assert taught.score(X, y) > 0.85 > plain.score(X, y)


@pytest.mark.slow
def test_weights_and_tables_go_with_their_rows() -> None:
    frame = pd.DataFrame({"colour": ["red", "blue", "red", "green"] * 15, "size": np.arange(60) % 7.0})
    labels = np.where(frame["colour"] == "red", "yes", "no")
    certain = np.stack([labels == "no", labels == "yes"], axis=1).astype(float)
    weights = (np.arange(60) % 5 > 0).astype(float)
    settings = {"encoder": TableEncoder(), "epochs": 10, "batch_size": 20, "random_state": 0}
    plain = TreeClassifier(2, **settings).fit(frame, labels, weights)  # type: ignore[arg-type]
    sure = Teacher(certain, share=1.0)
    taught = TreeClassifier(2, **settings).fit(frame, labels, weights, teacher=sure)  # type: ignore[arg-type]
    np.testing.assert_allclose(taught.predict_proba(frame), plain.predict_proba(frame), atol=1e-3)
    teacher = AmplitudeMPSClassifier(4, encoder=TableEncoder(), epochs=5, random_state=0).fit(frame, labels)
    assert (
        TreeClassifier(2, **settings).fit(frame, labels, weights, teacher=teacher).score(frame, labels) > 0.5
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (LogisticRegression(), "not fitted"),
        (np.ones((3, 3)), "shape"),
        (np.full((120, 3), np.nan), "finite"),
        (np.zeros((120, 3)), "no class"),
        ("amp", "fitted classifier or an array"),
        (LogisticRegression().fit(X, np.minimum(y, 1)), "does not know class 2"),
    ],
)
def test_bad_teachers_are_refused(teacher: object, message: str) -> None:
    model = TreeClassifier(2, epochs=2, random_state=0)
    with pytest.raises(InvalidInputError, match=message):
        model.fit(X, y, teacher=teacher)
    for share in (0.0, 1.5, True, "all"):
        with pytest.raises(InvalidInputError, match="share"):
            Teacher(None, share=share)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="temperature"):
        Teacher(None, temperature=0.0)


TREES = {
    "balanced": (balanced(8), None, 4, 2),
    "leaves of two qubits": (balanced(8), "leaves", 4, 2),
    "narrow wires": (balanced(8), None, 2, 1),
    "any tree": (from_brackets([[0, 1, 2], [[3, 4], 5]]), None, 3, 2),
    "bonds within wires": (balanced(8), None, 3, 2),
}


@pytest.mark.parametrize("name", list(TREES))
def test_a_post_selected_circuit_says_the_same(name: str, rng: np.random.Generator) -> None:
    tree, kind, bond, width = TREES[name]
    teacher = AmplitudeModel.on_tree(tree, 2, bond)
    cores = [rng.normal(size=shape) for shape in teacher.network.core_shapes]
    count = tree.num_leaves
    topology = balanced_tree(count, width) if kind else with_qubits(tree, [1] * count, width)
    model = Model(topology, discard="postselect")
    first = handed_over(teacher, cores, model)
    assert first is not None
    # The label's core in the basis of what is handed up to it, with orthonormal rows: then nothing is lost.
    isometric = with_isometric_label(teacher, cores)
    found = handed_over(teacher, isometric, model)
    assert found is not None
    samples = rng.uniform(size=(30, count))
    parameters = teacher.start(rng)._replace(nodes=teacher.network.stacks(isometric))
    np.testing.assert_allclose(model.apply(found, samples), teacher.apply(parameters, samples), atol=1e-9)


def with_isometric_label(teacher: AmplitudeModel, cores: list[np.ndarray]) -> list[np.ndarray]:
    """Cores whose label amplitudes have Gram matrix 1 over all inputs."""
    network = teacher.network
    basis = np.array(np.meshgrid(*[[0.0, 1.0]] * network.tree.num_leaves, indexing="ij"))
    levels = basis.reshape(network.tree.num_leaves, -1).T
    leaves = np.stack([1 - levels.T, levels.T], axis=1)
    amplitudes, logs = network.amplitudes(network.stacks(cores), leaves)
    whole = amplitudes * np.exp(logs - logs.max())
    left, values, _ = np.linalg.svd(whole, full_matrices=False)
    root = cores[network.label_node]
    changed = list(cores)
    changed[network.label_node] = np.tensordot(root, (left / values).T, (root.ndim - 1, 1))
    return changed


def test_what_does_not_fit_starts_anew() -> None:
    teacher = AmplitudeModel.on_tree(balanced(8), 2, 4)
    cores = teacher.network.cores(teacher.start(np.random.default_rng(0)).nodes)
    fits = with_qubits(balanced(8), [1] * 8, 2)
    assert handed_over(teacher, cores, Model(fits)) is not None
    for topology in (with_qubits(balanced(8), [1] * 8, 1), mps(8, 2), balanced_tree(4, 2)):
        assert handed_over(teacher, cores, Model(topology)) is None
    other = replace(teacher, encoding=get_encoding("rational"))
    assert handed_over(other, cores, Model(fits)) is None


@pytest.mark.slow
def test_homotopy_starts_at_the_teacher() -> None:
    labels = y % 2
    teacher = AmplitudeTreeClassifier(4, epochs=80, random_state=0, validation_fraction=0.0).fit(X, labels)
    student = TreeClassifier(
        2,
        topology=teacher.model_.network.tree,
        discard="postselect",
        epochs=1,
        learning_rate=1e-9,
        random_state=0,
        validation_fraction=0.0,
    )
    student.fit(X, labels, teacher=teacher)
    assert isinstance(student.topology, Tree)
    assert (student.predict(X) == teacher.predict(X)).mean() > 0.8
    carried = student.set_params(discard="trace", homotopy=20, epochs=60, learning_rate=0.03)
    assert carried.fit(X, labels, teacher=teacher).score(X, labels) > teacher.score(X, labels) - 0.05
