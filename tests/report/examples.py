"""Reports made by hand for the tests of this room: their numbers are plausible, not computed."""

import math
from dataclasses import replace

from rgflow.records.estimate import Estimate, Quantity
from rgflow.records.layer import Finding, LayerReport
from rgflow.report.check_report import CheckData, CheckModel, CheckReport, LearningRateLimit, Tally

__all__ = ["collapsing", "empty", "errored", "every_example", "healthy", "hostile", "transformer"]


RELU = "scale-invariant (critical C_W 2, C_b 0)"


def statistical(value, share=0.02):
    return Estimate(value, abs(value) * share, "statistical")


def truncated(value, share=0.03):
    return Estimate(value, abs(value) * share, "truncation")


def pair(value, *, z=0.4):
    """A quantity whose measurement lies z combined errors from its forecast."""
    forecast = truncated(value)
    error = math.hypot(forecast.error, abs(value) * 0.02)
    return Quantity(forecast, Estimate(value + z * error, abs(value) * 0.02, "statistical"))


def layer(name, *, signal, spread, gradient, z=0.4, verdict="ok", share=0.1, deviation=0.12, source="theory"):
    return LayerReport(
        name=name,
        kind="Linear",
        source=source,
        parametric=True,
        shape=(64,),
        fan_in=64,
        width=64,
        weight_variance=statistical(0.3331, 0.004),
        bias_variance=statistical(0.00521, 0.01),
        weight_kurtosis=statistical(-1.2, 0.01),
        signal=pair(signal, z=z),
        signal_deviation=pair(signal * deviation, z=-0.3),
        spread=pair(spread, z=-1.7 * z),
        spread_deviation=pair(spread * deviation * 1.3, z=0.9),
        gradient=pair(gradient, z=0.5 * z),
        gradient_deviation=pair(gradient * deviation * 1.5, z=1.1),
        backward_gain=pair(0.17),
        tangent_share=pair(share),
        chi_parallel=0.1667,
        chi_perpendicular=0.1667,
        depth_scale=0.558,
        control=0.03125,
        verdict=verdict,
    )


def pointwise(name, kind="ReLU"):
    return LayerReport(
        name=name,
        kind=kind,
        source="exact op",
        shape=(64,),
        signal=Quantity(measured=statistical(0.2), reason="not a map"),
    )


def report(layers, *, findings=(), **changes):
    fields = {
        "version": "0.1.0",
        "seed": 0,
        "networks": 64,
        "verdict": "findings" if any(f.severity == "problem" for f in findings) else "healthy",
        "model": CheckModel(
            "mlp.py:build",
            "MLP 64-[64 x 3]-10 relu",
            13130,
            4,
            0.0469,
            {"relu": RELU},
        ),
        "data": CheckData("digits", (1797, 64), 256, "classification", "cross-entropy", 10),
        "findings": tuple(findings),
        "layers": tuple(layers),
        "learning_rate": LearningRateLimit(pair(0.1234), pair(16.2), pair(16.2), "sgd"),
        "output_deviation": pair(0.082),
        "tally": Tally(46, 46),
        "timing": {"draw": 0.8, "forecast": 6.1, "measure": 4.3},
    }
    return CheckReport(**{**fields, **changes})


def healthy():
    rows = []
    for i in range(4):
        rows.append(
            layer(str(2 * i), signal=0.98 + 0.03 * i, spread=0.61 - 0.04 * i, gradient=0.42 + 0.05 * i, share=0.25)
        )
        if i < 3:
            rows.append(pointwise(str(2 * i + 1)))
    return report(rows)


def collapsing():
    """Twelve layers of a stock ReLU network, down to 1e-12, with the findings that belong to it."""
    rows = []
    for i in range(13):
        spread = max(0.31 * 6.0**-i, 1e-12) if i < 12 else 1.3e-12
        rows.append(
            layer(
                str(2 * i),
                signal=0.012 + 0.35 * 5.5**-i,
                spread=spread,
                gradient=3.2e-9 * 4.1**i,
                z=(-1) ** i * (0.3 + 0.35 * i),
                verdict="ok" if i < 4 else "inputs collapse" if i < 12 else "inputs collapse, gradient uneven",
                share=0.001 * 1.7**i,
                deviation=0.1 + 0.13 * i,
            )
        )
        if i < 12:
            rows.append(pointwise(str(2 * i + 1)))
    findings = [
        Finding(
            "inputs-collapse",
            "8",
            "from layer 8 on the outputs stop depending on the input: the spread falls 6.0-fold per layer",
            {
                "forecast fall per layer": 6.02,
                "measured fall per layer": 5.94,
                "threshold": 0.01,
                "spread/signal at the output": 1.1e-10,
            },
            "rgflow tune deep_relu.py:build --data digits     proof: add --verify",
        ),
        Finding(
            "gradient-vanishes",
            "0",
            "the gradient of the first layer is 2e+07 times smaller than that of the last",
            {"first": 3.2e-9, "last": 0.0722, "ratio": 4.4e-8},
            "set critical variances (C_W 2, C_b 0): rgflow tune",
        ),
        Finding(
            "seeds-differ", "", "two seeds differ much: control 0.19", {"control": 0.19}, "widen the layers", "note"
        ),
    ]
    model = CheckModel(
        "examples/deep_relu.py:build",
        "MLP 64-[64 x 12]-10 relu",
        50570,
        13,
        0.9375,
        {"relu": RELU},
    )
    return report(rows, findings=findings, model=model, notes=("256 of 1797 samples were used as the batch",))


def transformer():
    """Sixty rows with parameters, many not predicted, long dotted names, None everywhere it may be."""
    rows = []
    for block in range(12):
        stem = f"encoder.layers.{block}"
        for part, kind in (("self_attn", "MultiheadAttention"), ("linear1", "Linear"), ("linear2", "Linear")):
            row = layer(
                f"{stem}.{part}", signal=0.5 + 0.1 * block, spread=0.3, gradient=0.01, source="mean field", share=0.02
            )
            gap = Quantity(measured=row.gradient.measured, reason="mean field has no gradient here")
            rows.append(replace(row, kind=kind, gradient=gap, control=None, chi_parallel=None))
            rows.append(pointwise(f"{stem}.dropout{part[-1]}", "Dropout"))
        for norm in ("norm1", "norm2"):
            rows.append(
                LayerReport(
                    name=f"{stem}.{norm}",
                    kind="LayerNorm",
                    source="exact op",
                    parametric=True,
                    signal=pair(1.0, z=6.2 if block == 7 else 0.2),
                    verdict="signal off forecast" if block == 7 else "ok",
                )
            )
    rows.append(
        LayerReport("head", "Linear", "measured", reason="data-dependent Python (an if on a value)", parametric=True)
    )
    finding = Finding(
        "copied-layers",
        "encoder.layers.1",
        "all layers start as copies of the first",
        {"layers": 12},
        "re-draw",
        "note",
    )
    model = CheckModel(
        "nets.transformer:make_pre_norm_transformer", "Transformer, 12 blocks of width 128", 2_385_418, 60, None, {}
    )
    return report(
        rows,
        findings=[finding],
        model=model,
        data=CheckData("digits-as-rows", (1797, 8, 8), 64, "classification", "cross-entropy", 10),
        learning_rate=LearningRateLimit(
            Quantity(measured=statistical(0.02), reason="no forecast outside chains"),
            Quantity(),
            Quantity(),
            "adamw",
            0.001,
        ),
        output_deviation=Quantity(measured=statistical(0.31)),
        tally=Tally(101, 108),
    )


def errored():
    """A model that raised midway: what ran, and the error."""
    full = collapsing()
    return report(
        full.layers[:7],
        model=full.model,
        error="RuntimeError: mat1 and mat2 shapes cannot be multiplied (256x64 and 32x10)",
        learning_rate=LearningRateLimit(Quantity(reason="the model raised"), Quantity(), Quantity(), "sgd"),
        output_deviation=Quantity(reason="the model raised"),
        tally=Tally(12, 12),
    )


def empty():
    """Nothing ran, and what is known is not finite."""
    nothing = Estimate(math.nan, math.inf, "bound")
    return report(
        (),
        tally=Tally(0, 0),
        error="ValueError: no",
        timing={},
        output_deviation=Quantity(nothing, nothing),
        findings=[Finding("broken", "", "nothing ran", {"loss": math.inf, "count": 0}, "")],
    )


def hostile():
    """Names and sentences that look like HTML, markup, templates, or are very long, or not ASCII."""
    names = ["<script>alert(1)</script>", "couche.été.層", "[bold]x[/bold]", "{{ 7 * 7 }}", "</script>", "&amp;"]
    names += ["a" * 200, "\x1b[31mred\x07", "var(--ink)"]
    rows = [layer(name, signal=1.0, spread=0.5, gradient=0.1) for name in names]
    rows[0] = replace(rows[0], verdict="<b>bad</b>", reason="<u>why</u>")
    findings = [
        Finding("x<y", names[0], "<img src=x onerror=alert(1)>", {"<i>": "<u>", "n": 3}, "<a href='http://x'>y</a>")
    ]
    return report(rows, findings=findings, notes=("<svg onload=alert(1)>",))


def every_example():
    return {
        "healthy": healthy(),
        "collapsing": collapsing(),
        "transformer": transformer(),
        "errored": errored(),
        "empty": empty(),
        "hostile": hostile(),
    }
