"""`qtnml demo` and `qtnml compile`: to circuits."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qtnml.cli.app import (
    CIRCUITS,
    TRAIN,
    Json,
    ModelArgument,
    app,
    cache_compilations,
    check_figure,
    check_parent,
    report,
    shown,
    with_circuit,
)
from qtnml.errors import InvalidInputError

_VERIFIED = 100  # samples


@app.command(rich_help_panel=TRAIN)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("qtnml-demo"),
    shots: Annotated[int, typer.Option(min=1, help="Measurements per image.")] = 1024,
    images: Annotated[int, typer.Option(min=1, help="Test images to run with shots.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of training and shots.")] = 0,
    as_json: Json = False,
) -> None:
    """Run the whole path on real digits: train, compile, run on Aer, compare (under a minute).

    A tree of 64 qubits learns to tell handwritten 3s from 5s, becomes a circuit of 7 qubits through
    mid-circuit reset, and runs on the Aer simulator; pictures are written to a folder.

    Example: qtnml demo --out pictures
    """
    from qtnml.demo import run_demo

    cache_compilations()
    result = run_demo(out, shots=shots, images=images, seed=seed)
    rows = {
        "test accuracy, exact": f"{result.test_accuracy:.4f}",
        f"test accuracy on Aer, {shots} shots": f"{result.shots_accuracy:.4f}",
        "largest |contraction - circuit| probability": f"{result.max_probability_error:.1e}",
        "qubits without reuse": str(result.num_qubits),
        "qubits with reuse": str(result.num_qubits_reuse),
        "depth with reuse": str(result.depth),
        "two-qubit gates": str(result.two_qubit_gates),
        **{f"seconds: {step}": f"{value:.1f}" for step, value in result.seconds.items()},
        "pictures": str(out),
    }
    report("Handwritten 3 or 5: tree tensor network, 64 pixels", rows, result.to_dict(), as_json)


@app.command(name="compile", rich_help_panel=CIRCUITS)
def compile_(
    model: ModelArgument,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse",
            help="Reset and reuse qubits that were discarded (default: as the model says, else reuse).",
            show_default=False,
        ),
    ] = None,
    num_qubits: Annotated[
        int | None,
        typer.Option(min=1, help="Use up to so many qubits, for less depth (default: the fewest)."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Compile for a device's own qubits and gates, e.g. fake:torino or ibm:NAME."),
    ] = None,
    passes: Annotated[
        list[str] | None,
        typer.Option(
            "--pass",
            help="Rewrite the circuit: skip-resets, feed-forward, twirl, merge, decouple, hold-reads, or "
            "auto; repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the circuit: .qasm (OpenQASM 3) or .qpy."),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Bind samples of this data set in the written circuits: numbers alone, for tools that know "
            "no symbols.",
        ),
    ] = None,
    which: Annotated[
        str,
        typer.Option(
            "--rows", help="Rows of --bind, from 0, by commas; of several each gets a file of its own."
        ),
    ] = "0",
    qasm_version: Annotated[
        int, typer.Option(min=2, max=3, help="Of .qasm files with nothing left free; 2 for older tools.")
    ] = 3,
    synthesis: Annotated[
        str, typer.Option(help="How nodes become gates: auto (fewest gates), fitted or analytic (quickest).")
    ] = "auto",
    two_qubit_gate: Annotated[str, typer.Option(help="cx, cz, ecr or rzz.")] = "cx",
    max_gates: Annotated[
        int | None,
        typer.Option(min=0, help="The most two-qubit gates in a node, fitted as well as they can be."),
    ] = None,
    target_infidelity: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of each node; as few gates as reach it.")
    ] = 0.0,
    approximate: Annotated[
        str | None,
        typer.Option(
            help="Of a Born machine: a shallow circuit, of at most so many two-qubit gates (60) or of a "
            "fidelity (0.99)."
        ),
    ] = None,
    full_report: Annotated[
        bool, typer.Option("--report", help="Time, idling and every level as well.")
    ] = False,
    verify: Annotated[
        str | None,
        typer.Option(help="Compare circuit and network on test samples of this data set (a name or path)."),
    ] = None,
    free_weights: Annotated[
        bool, typer.Option("--free-weights", help="Leave the weights w as parameters, too.")
    ] = False,
    draw: Annotated[Path | None, typer.Option(help="Write a drawing (.png, .svg, .pdf).")] = None,
    as_json: Json = False,
) -> None:
    """Compile a trained model into a quantum circuit and say what it costs.

    The written circuit has one free parameter per data qubit, an angle in radians; an OpenQASM file says in
    comments which. With --bind, and for Born machines with --qasm-version 2, nothing is left free.

    Example: qtnml compile model.qtnml -o model.qasm --draw model.png --report --verify digits

    Example: qtnml compile model.qtnml -o bound.qasm --bind digits --rows 0,1 --qasm-version 2
    """
    from qtnml.gates import Synthesis
    from qtnml.models import load_model

    check_figure(draw, model)
    if output is not None:
        check_parent(output, model)
    _check_file(output, bound=bind is not None or qasm_version != 3, free_weights=free_weights)
    estimator = with_circuit(load_model(model)).set_params(verbose=1)
    draws = hasattr(estimator, "state_")
    if bind is None and qasm_version != 3 and not draws:
        raise InvalidInputError("OpenQASM 2 knows no inputs: bind samples with --bind, e.g. --bind digits")
    if bind is not None and draws:
        raise InvalidInputError(f"{model} draws strings and has no inputs; leave --bind out")
    if approximate is not None and not draws:
        raise InvalidInputError("--approximate is for Born machines; classifiers take --max-gates")
    samples = None if verify is None else _samples(estimator, verify, draws=draws)
    how: dict[str, Any] = {"num_qubits": num_qubits, "reuse_qubits": reuse, "target": target}
    how["passes"] = "auto" if passes == ["auto"] else passes
    if approximate is not None:
        how["approximate"] = _gates_or_fidelity(approximate)
    else:
        how["synthesis"] = Synthesis(
            synthesis,  # type: ignore[arg-type]
            max_two_qubit_gates=max_gates,
            target_infidelity=target_infidelity,
            two_qubit_gate=two_qubit_gate,  # type: ignore[arg-type]
        )
    compiled = estimator.compile(**{name: value for name, value in how.items() if value not in (None, [])})
    if draw is not None:
        from qtnml.plots import plot_circuit
        from qtnml.storage import save_figure

        save_figure(plot_circuit(compiled, feature_names=_feature_names(estimator)), draw)
    facts = _facts(compiled, draws=draws)
    if output is not None:
        written = _write(compiled, output, estimator, bind, which, qasm_version, free_weights)
        facts["files"] = [str(file) for file in written]
    rows = {k.replace("_", " "): shown(v) for k, v in facts.items()}
    if compiled.expected is not None:
        facts["expected"] = compiled.expected.to_dict()
        rows["expected there"] = str(compiled.expected)
    if full_report:
        costs = compiled.report()
        rows, facts = costs.rows(), facts | {"report": costs.to_dict()}
    if samples is not None:
        deviation = compiled.verify(estimator.state_, samples) if draws else compiled.verify(samples)
        facts["largest_deviation"] = deviation
        rows[f"largest deviation on {len(samples)} samples"] = f"{deviation:.1e}"
    report(f"{'Generative circuit' if draws else 'Circuit'} of {model}", rows, facts, as_json)


def _check_file(output: Path | None, *, bound: bool, free_weights: bool) -> None:
    """Refuse options of the written file that do not go together."""
    if output is not None and output.suffix not in (".qasm", ".qpy"):
        raise InvalidInputError(f"cannot tell the circuit format of {output}; end it in .qasm or .qpy")
    if output is None and bound:
        raise InvalidInputError(
            "--bind and --qasm-version are of a file to write: give -o, e.g. -o model.qasm"
        )
    if free_weights and bound:
        raise InvalidInputError(
            "--free-weights leaves symbols, which bound circuits have none of; leave it out"
        )


def _facts(compiled: Any, *, draws: bool) -> dict[str, Any]:
    """What a circuit costs."""
    facts: dict[str, Any] = {
        "num_qubits": compiled.num_qubits,
        "depth": compiled.depth,
        "two_qubit_gates": compiled.two_qubit_gates,
        "resets": compiled.num_resets,
        "weight_parameters": len(compiled.w),
        "infidelity": compiled.infidelity,
    }
    if draws:
        facts |= {"num_sites": compiled.num_sites, "seconds_a_shot": compiled.duration()}
    else:
        facts["data_parameters"] = len(compiled.x)
    if compiled.passes:
        facts["passes"] = list(compiled.passes)
    if compiled.device is not None:
        facts |= {
            "device": compiled.device.name,
            "layout": list(compiled.layout),
            "estimated_success": compiled.estimated_success,
        }
    return facts


def _write(
    compiled: Any, output: Path, estimator: Any, bind: str | None, rows: str, version: int, free_weights: bool
) -> list[Path]:
    """The circuit with its inputs free, or circuits of samples."""
    from qtnml.compile import export_bound, export_circuit

    if bind is None and version == 3:
        export_circuit(compiled, output, free_weights=free_weights)
        return [output]
    if bind is None:
        return export_bound(compiled, output, qasm_version=version)
    from qtnml.models import samples_for

    if not getattr(estimator, "notes_", {}):
        raise InvalidInputError(
            "the model does not say how its data were read (it was not written by `qtnml train`); bind "
            "samples in Python: qtnml.compile.export_bound(clf.compile(), path, X)"
        )
    X = samples_for(estimator, bind)[0]
    try:
        chosen = [int(row) for row in rows.split(",")]
        X = estimator.features(X[chosen])
    except (ValueError, IndexError):
        raise InvalidInputError(f"{bind} has rows 0 to {len(X) - 1}, got --rows {rows}") from None
    return export_bound(compiled, output, X, qasm_version=version)


def _samples(estimator: Any, source: str, *, draws: bool) -> Any:
    """Levels of a Born machine's strings, features of a network."""
    if not draws:
        from qtnml.models import samples_for

        return estimator.features(samples_for(estimator, source)[0][:_VERIFIED])
    if hasattr(estimator, "classes_"):
        raise InvalidInputError("--verify is not for models of records and classes; leave it out")
    from qtnml.models import strings_for

    return estimator.levels(strings_for(estimator, source)[:_VERIFIED])


def _feature_names(estimator: Any) -> list[str] | None:
    """Of the table that the model was trained on."""
    notes = getattr(estimator, "notes_", {})
    names = notes.get("feature_names") or notes.get("columns")
    return list(names) if names and len(names) == estimator.n_features_in_ else None


def _gates_or_fidelity(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInputError(
            f"--approximate is a number of gates such as 60 or a fidelity such as 0.99, got {text!r}"
        ) from error
