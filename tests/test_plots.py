import numpy as np
import pytest

from qtnml import AmplitudeTreeClassifier, BornClassifier, MPSBornMachine, TreeClassifier
from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network, overview
from qtnml.data import Dataset
from qtnml.errors import InvalidInputError
from qtnml.plots import (
    plot_circuit,
    plot_confusion,
    plot_explanation,
    plot_network,
    plot_record,
    plot_samples,
    plot_strings,
    plot_training,
)
from qtnml.structure import balanced_tree
from qtnml.train import EpochRecord
from tests.references import ENCODING

pytestmark = pytest.mark.portable


def test_training_curves_show_what_there_is(trained: TreeClassifier) -> None:
    losses, errors = plot_training(trained.history_, trained.best_epoch_).axes
    assert [line.get_label() for line in losses.lines] == [
        "training",
        f"kept: epoch {trained.best_epoch_ + 1}",
    ]
    np.testing.assert_allclose(losses.lines[0].get_ydata(), [record.loss for record in trained.history_])
    held_out = [EpochRecord(1, 1.0, 0.5, 1.1, 0.6, 0.1), EpochRecord(2, 0.9, 0.7, 1.0, 0.8, 0.2)]
    _, errors = plot_training(held_out, 1).axes
    np.testing.assert_allclose(errors.lines[1].get_ydata(), [40, 20])


def test_samples_in_red_where_wrong(trained: TreeClassifier, small_digits: Dataset) -> None:
    X, y = small_digits.X_test[:5], small_digits.y_test[:5].copy()
    proba = trained.predict_proba(X)
    y[0] = 8 - trained.predict(X)[0]
    y[1] = trained.predict(X)[1]
    axes = plot_samples(small_digits, X, y, proba, trained.classes_).axes
    assert axes[0].title.get_color() == "#b3261e"
    assert axes[1].title.get_color() == "0.15"
    np.testing.assert_array_equal(axes[0].images[0].get_array(), small_digits.image(X[0]))


def test_confusion_counts() -> None:
    (axes,) = plot_confusion(np.array([3, 3, 5, 5]), np.array([3, 5, 5, 5]), np.array([3, 5]), title="t").axes
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "2"]


def test_circuit_is_drawn_on_its_own_axes(trained: TreeClassifier) -> None:
    figure = plot_circuit(trained.compile(), feature_names=[f"pixel {k}" for k in range(16)])
    first = figure.axes[0]
    assert "16 features on 5 qubits" in first.get_title(loc="left")
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"U0", "U14", "|0>", "c0", "pixel 3", "pix… 15"} <= set(texts)
    assert [label.get_text() for label in first.get_yticklabels()] == [f"q{k}" for k in range(5)]


def test_drawings_are_as_large_as_their_content(trained: TreeClassifier, digits: Dataset) -> None:
    small, wide = (plot_circuit(trained.compile(num_qubits=n)) for n in (5, 16))
    assert small.get_size_inches()[1] != wide.get_size_inches()[1]
    on_device = trained.compile(target="fake:torino", num_qubits=5)
    labels = [label.get_text() for label in plot_circuit(on_device).axes[0].get_yticklabels()]
    assert labels == [f"q{place}" for place in on_device.layout]
    tree = TreeClassifier(epochs=1, random_state=0).fit(digits.X_train, digits.y_train)
    summary = plot_circuit(tree.compile(reuse_qubits=False))  # 64 rows: who acts when, without names
    assert not list(summary.axes[0].texts)
    assert len(summary.axes[0].patches) == 64 + 2 * 63 + 1
    assert max(summary.get_size_inches()) < 12


def test_circuits_that_draw_are_drawn(rng: np.random.Generator) -> None:
    born = MPSBornMachine(2, epochs=1, random_state=0).fit(rng.integers(0, 2, (60, 6)))
    figure = plot_circuit(born.compile(), feature_names=list("abcdef"))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert set("abcdef") < set(texts)
    assert "6 sites drawn on 2 qubits" in figure.axes[0].get_title(loc="left")


def test_generative_figures(rng: np.random.Generator) -> None:
    bits = np.repeat(rng.integers(0, 2, size=(60, 2)), 3, axis=1)
    model = MPSBornMachine(4, random_state=0).fit(bits)
    explained = model.explain()
    figure = plot_explanation(explained)
    titles = [axes.get_title() for axes in figure.axes]
    assert "von Neumann entropy of each bond" in titles
    bars = figure.axes[titles.index("von Neumann entropy of each bond")].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], explained.bond_entropies)
    record = model.explain([0, 1, 0, 1, 1, 1])
    figure = plot_record(record)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names[0] == "x1 = 1  (expected 0)"
    assert len(figure.axes[0].patches) == 18
    strings = np.array([[0, 1, np.nan, 1, 0, 0]])
    (image,) = plot_strings(strings, (2, 3), columns=1).axes[0].images
    np.testing.assert_array_equal(image.get_array(), [[1, 0, 0.5], [0, 1, 1]])


def test_networks_are_drawn_with_their_bonds(trained: TreeClassifier) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (60, 5))
    born = MPSBornMachine(4, epochs=2, random_state=0).fit(X)
    figure = plot_network(born, names=["a", "b", "c", "d", "e"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [str(bond) for bond in born.bond_dims_]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list("abcde")
    both = BornClassifier(MPSBornMachine(2, epochs=1)).fit(X, X[:, 0])
    assert len(plot_network(both).axes[0].get_xticklabels()) == 6
    for network in (trained, trained.model_, trained.model_.topology, trained.model_.topology.tree):
        assert f"{trained.n_features_in_} leaves, 15 nodes" in plot_network(network).axes[0].get_title()
    clf = AmplitudeTreeClassifier(3, epochs=1).fit(X, X[:, 0])
    assert "label" in [text.get_text() for text in plot_network(clf).axes[0].texts]
    with pytest.raises(InvalidInputError, match="the network has 5 leaves, got 2 names"):
        plot_network(born, names=["a", "b"])
    with pytest.raises(InvalidInputError, match="plot_network draws a state, .* got ndarray"):
        plot_network(X)


def test_checks_of_a_post_selected_circuit_are_drawn(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(4), rng)
    compiled = compile_network(network, ENCODING, discard="postselect")
    assert [step.kind for step in overview(compiled)].count("check") == 3
    figure = plot_circuit(compiled)
    assert "must read 0" in [text.get_text() for text in figure.legends[0].get_texts()]
