"""Findings: what is wrong with a checked model, from its rows and a few numbers about the whole. See docs/findings.md.

One tolerance rules all exponential effects: a factor e^6 in a mean square. Signals fall as exp(-layers / depth scale), and
networks deeper than about six depth scales do not train (Schoenholz et al. 2017, arXiv:1611.01232, section 5);
so e^6 between two layers is where depth stops working. Measured values decide; forecasts are quoted as evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rgflow.records import Estimate, Finding, LayerReport, Quantity

__all__ = ["DEPTH_TOLERANCE", "WholeModel", "judge", "row_verdicts"]

DEPTH_TOLERANCE = math.exp(6.0)  # six depth scales, in a mean square
SLOW_SHARE = math.exp(
    -3.0
)  # half of it, in a rate: a layer this far below an equal share of the tangent kernel is slow
HALF = 0.5  # half of a layer's channels dead: its effective width is halved and its control doubled
SPREAD_OVER_MEAN = 1.0  # seed-to-seed standard deviation equal to the mean: the scale of one seed predicts nothing


@dataclass(frozen=True)
class WholeModel:
    """What judging needs beyond the rows.

    `outputs_square` mean squared output (measured); `loss` mean initial loss (measured); `target_square` mean squared
    target or None; `classes` or None; `constant` names of constant features; `scale_range` largest over smallest feature
    rms, with `extremes` naming both; `learning_rate` the user's, `stable_limit` the limit; `uncritical` activations
    without critical point, each with the reason; `clones` modules that start as copies; `remedy` the command that tunes
    this model; `error` what it raised midway, else "".
    """

    outputs_square: float
    loss: float
    target_square: float | None
    classes: int | None
    constant: tuple[str, ...]
    features: int
    scale_range: float
    extremes: tuple[str, str]
    learning_rate: float | None
    optimizer: str
    stable_limit: Quantity
    uncritical: tuple[tuple[str, str], ...]
    clones: tuple[tuple[str, ...], ...]
    remedy: str
    error: str = ""


def judge(rows: Sequence[LayerReport], whole: WholeModel) -> tuple[Finding, ...]:
    """Return all findings, problems first, in the order in which they would be mended."""
    linear = [row for row in rows if row.parametric and row.width is not None]
    found = [
        *_stopped(linear, whole),
        *_signal(linear, whole),
        *_collapse(linear, whole),
        *_gradient(linear, whole),
        *_speed(linear, whole),
        *_dead(rows, whole),
        *_seeds(linear, whole),
        *_rate(whole),
        *_features(whole),
        *_output(linear, whole),
        *_activations(whole),
        *_clones(whole),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != "problem"))


def row_verdicts(rows: Sequence[LayerReport], findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return for each row the codes of the problems that hold there, or "ok".

    A signal or spread that is lost stays lost in later rows; a gradient, in earlier ones.
    """
    names = [row.name for row in rows]
    codes: list[list[str]] = [[] for _ in rows]
    for finding in findings:
        if finding.severity != "problem" or finding.layer not in names:
            continue
        start = names.index(finding.layer)
        stop = start + 1
        if finding.code.startswith(("signal-", "inputs-")):
            stop = len(rows)
        if finding.code.startswith("gradient-"):
            start, stop = 0, start + 1
        for place in range(start, stop):
            if rows[place].parametric or place == names.index(finding.layer):
                codes[place].append(finding.code)
    return tuple(", ".join(found) or "ok" for found in codes)


def _value(quantity: Quantity) -> float | None:
    estimate = quantity.measured or quantity.predicted
    return None if estimate is None or not math.isfinite(estimate.value) else estimate.value


def _quote(quantity: Quantity) -> str:
    """Return "forecast a +- b, measured c +- d" of what there is."""
    parts = [
        f"{word} {_number(estimate)}"
        for word, estimate in (("forecast", quantity.predicted), ("measured", quantity.measured))
        if estimate is not None
    ]
    return ", ".join(parts)


def _number(estimate: Estimate) -> str:
    error = f" +- {estimate.error:.1g}" if math.isfinite(estimate.error) else " (one draw)"
    return f"{estimate.value:.3g}{error}"


def _stopped(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    if not whole.error:
        return []
    where = f" after layer {rows[-1].name}" if rows else ""
    message = f"The model stopped{where}: {whole.error}"
    return [
        Finding("stopped", rows[-1].name if rows else "", message, {}, "mend the model's forward, then check again")
    ]


def _signal(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    values = [(row, value) for row in rows if (value := _value(row.signal)) is not None and value > 0]
    broken = next((row for row in rows if row.signal.measured and not math.isfinite(row.signal.measured.value)), None)
    if broken is not None:
        message = f"From layer {broken.name} on the signal overflows to infinity or NaN"
        return [Finding("signal-explodes", broken.name, message, {}, whole.remedy)]
    if not values:
        return []
    first, start = values[0]
    for row, value in values[1:]:
        if value < start / DEPTH_TOLERANCE or value > start * DEPTH_TOLERANCE:
            fate = "vanishes" if value < start else "explodes"
            message = (
                f"The signal {fate}: its mean square goes from {start:.3g} in layer {first.name}"
                f" to {value:.3g} in layer {row.name}"
            )
            return [_found(f"signal-{fate}", row, message, row.signal, value / start, whole)]
    return []


def _found(code: str, row: LayerReport, message: str, quantity: Quantity, ratio: float, whole: WholeModel) -> Finding:
    evidence: dict[str, float | int | str] = {
        "here": _quote(quantity),
        "factor": max(ratio, 1 / ratio) if ratio > 0 else "infinite",
        "tolerated factor": DEPTH_TOLERANCE,
    }
    if row.chi_perpendicular is not None:
        evidence["chi_perpendicular"] = row.chi_perpendicular
    return Finding(code, row.name, message, evidence, whole.remedy)


def _collapse(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    """Inputs collapse where the spread's part of the signal has fallen by six depth scales and never comes back.

    A row that works on a learnt constant, or in front of a BatchNorm, has little spread without any input being lost.
    """
    parts = []
    for row in rows:
        signal, spread = _value(row.signal), _value(row.spread)
        if signal and spread is not None:
            parts.append((row, spread / signal))
    if not parts or parts[0][1] <= 0:
        return []
    start = parts[0][1]
    for place, (row, part) in enumerate(parts):
        if all(later < start / DEPTH_TOLERANCE for _, later in parts[place:]):
            pace = f", {(start / part) ** (1 / place):.2g}x less in each layer" if part > 0 else ""
            message = (
                f"From layer {row.name} on outputs hardly depend on the input: the spread is {part:.2g} of the signal"
                f" ({start:.2g} in layer {parts[0][0].name}){pace}"
            )
            return [_found("inputs-collapse", row, message, row.spread, part / start, whole)]
    return []


def _gradient(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    """Gradients flow from the last row to the first; rows with gradient exactly 0 are gated, not vanishing."""
    values = [(row, value) for row in rows if (value := _value(row.gradient)) is not None and value > 0]
    if len(values) < 2:
        return []
    last, end = values[-1]
    for row, value in reversed(values[:-1]):
        ratio = (value / end) ** 2
        if ratio < 1 / DEPTH_TOLERANCE or ratio > DEPTH_TOLERANCE:
            fate = "vanishes" if ratio < 1 else "explodes"
            message = (
                f"The gradient {fate} on its way back: its norm is {end:.3g} in layer {last.name}"
                f" and {value:.3g} in layer {row.name}"
            )
            return [_found(f"gradient-{fate}", row, message, row.gradient, ratio, whole)]
    return []


def _speed(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    shares = [(row, value) for row in rows if (value := _value(row.tangent_share)) is not None and value > 0]
    if len(shares) < 2:
        return []
    equal = 1.0 / len(shares)
    row, least = min(shares, key=lambda pair: pair[1])
    if least >= equal * SLOW_SHARE:
        return []
    frozen = least < equal / DEPTH_TOLERANCE
    evidence: dict[str, float | int | str] = {
        "share": _quote(row.tangent_share),
        "equal share": equal,
        "tolerated": equal * SLOW_SHARE,
    }
    message = (
        f"Layers train at unequal speed: layer {row.name} carries {least:.2g} of the tangent kernel,"
        f" an equal share would be {equal:.2g}"
    )
    remedy = f"{whole.remedy} (critical variances even out the shares)"
    return [Finding("unequal-speed", row.name, message, evidence, remedy, "problem" if frozen else "note")]


def _dead(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    worst = max((row for row in rows if row.dead is not None), key=lambda row: row.dead or 0.0, default=None)
    if worst is None or not worst.dead or worst.dead < HALF:
        return []
    message = f"{100 * worst.dead:.0f} % of the units of layer {worst.name} are dead: constant on the whole batch"
    evidence: dict[str, float | int | str] = {"dead fraction": worst.dead, "tolerated": HALF}
    return [Finding("dead-units", worst.name, message, evidence, whole.remedy)]


def _seeds(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    """Seeds differ too much where the kernel under a row's signal or spread varies over seeds by more than its mean.

    A row of n channels varies by itself: Var = 2 K^2 / n + Var(K) (1 + 2 / n) for one input. That part, which every
    narrow output has, is taken off.
    """
    for row in rows:
        for mean, deviation, word in (
            (row.signal, row.signal_deviation, "signal"),
            (row.spread, row.spread_deviation, "spread"),
        ):
            alike = deviation.measured is not None  # both measured, or both forecast
            value = _value(deviation)
            size = _value(mean if alike else Quantity(mean.predicted))
            if value is None or not size or row.width is None:
                continue
            own = 2 / row.width
            kernel = ((value / size) ** 2 - own) / (1 + own)
            if kernel < SPREAD_OVER_MEAN**2:
                continue
            message = (
                f"Seeds differ too much: in layer {row.name} the {word} varies over seeds by {100 * value / size:.0f} %"
                " of its mean; one seed says little about the next"
            )
            evidence: dict[str, float | int | str] = {
                "deviation": _quote(deviation),
                "mean": size,
                "deviation of the kernel / mean": math.sqrt(kernel),
                "tolerated": SPREAD_OVER_MEAN,
            }
            if row.control is not None:
                evidence["control"] = row.control
            remedy = "widen the layers or use fewer of them: the relative variance grows like depth/width"
            return [Finding("seeds-differ", row.name, message, evidence, remedy)]
    return []


def _rate(whole: WholeModel) -> list[Finding]:
    limit, rate = whole.stable_limit.measured or whole.stable_limit.predicted, whole.learning_rate
    if rate is None or limit is None or whole.optimizer != "sgd" or rate <= limit.value:
        return []
    message = f"The learning rate {rate:.3g} lies above the stability limit {_number(limit)} of plain SGD on this batch"
    evidence: dict[str, float | int | str] = {"given": rate, "limit": _quote(whole.stable_limit)}
    return [Finding("learning-rate", "", message, evidence, f"use at most {limit.value:.2g}")]


def _features(whole: WholeModel) -> list[Finding]:
    found = []
    if whole.constant:
        names = ", ".join(whole.constant[:5]) + (" ..." if len(whole.constant) > 5 else "")
        message = f"{len(whole.constant)} of {whole.features} input features are constant: {names}"
        evidence: dict[str, float | int | str] = {"constant": len(whole.constant), "features": whole.features}
        found.append(Finding("constant-features", "", message, evidence, "drop them; they act as a bias", "note"))
    if whole.scale_range**2 > DEPTH_TOLERANCE:
        small, large = whole.extremes
        message = (
            f"Input features are unscaled: the largest ({large}) is {whole.scale_range:.3g} times the smallest ({small});"
            " the first layer sees and learns only the largest"
        )
        evidence = {"ratio of mean squares": whole.scale_range**2, "tolerated": DEPTH_TOLERANCE}
        found.append(Finding("unscaled-features", "", message, evidence, "standardise each feature"))
    return found


def _output(rows: Sequence[LayerReport], whole: WholeModel) -> list[Finding]:
    layer = rows[-1].name if rows else ""
    if whole.classes:
        chance = math.log(whole.classes)
        if whole.loss <= 2 * chance:  # twice the loss of knowing nothing: confidently wrong before it starts
            return []
        message = f"The outputs are too large: the initial loss is {whole.loss:.3g}, guessing gives {chance:.3g}"
        evidence: dict[str, float | int | str] = {"loss": whole.loss, "ln(classes)": chance, "tolerated": 2 * chance}
        return [Finding("output-scale", layer, message, evidence, whole.remedy)]
    if not whole.target_square or whole.outputs_square <= 0:
        return []
    ratio = whole.outputs_square / whole.target_square
    if 1 / DEPTH_TOLERANCE <= ratio <= DEPTH_TOLERANCE:
        return []
    message = (
        f"Outputs and targets differ in scale: rms {math.sqrt(whole.outputs_square):.3g}"
        f" against {math.sqrt(whole.target_square):.3g}"
    )
    evidence = {"ratio of mean squares": ratio, "tolerated": DEPTH_TOLERANCE}
    remedy = f"standardise the targets, or {whole.remedy}"
    return [Finding("output-scale", layer, message, evidence, remedy)]


def _activations(whole: WholeModel) -> list[Finding]:
    return [
        Finding(
            "no-critical-point",
            "",
            f"The activation {name} has no critical point: {reason}",
            {"activation": name},
            "keep it shallow, or use an activation with one (tanh, relu, gelu); see docs/findings.md",
            "note",
        )
        for name, reason in whole.uncritical
    ]


def _clones(whole: WholeModel) -> list[Finding]:
    return [
        Finding(
            "cloned-layers",
            group[0],
            f"{len(group)} modules start as copies of one: {', '.join(group[:4])}{' ...' if len(group) > 4 else ''}",
            {"modules": len(group)},
            f"draw each of them anew, for example by {whole.remedy}",
        )
        for group in whole.clones
    ]
