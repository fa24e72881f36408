"""How often the ladder is right, how many samples it needs, and how often it sees structure that is not there.

Three tables, as they stand in docs/structure_ladder.md: planted problems with known rungs, power curves, false alarms. The
seeds are fixed; another `--seed` draws other problems. `--picture` writes the power curves as a picture (needs matplotlib).

    python benchmarks/ladder_calibration.py                         # everything, a quarter of an hour on one core
    python benchmarks/ladder_calibration.py --only problems --count 38
    python benchmarks/ladder_calibration.py --only power --draws 8 --picture power.png
"""

import argparse
import time
from pathlib import Path

from rgflow.structure import PlantedProblem, calibrate, ladder_power, planted_laws, planted_problems
from rgflow.structure.ladder_calibration import CalibrationRow
from rgflow.structure.power_curves import PowerCurve

__all__ = ["main"]

SIZES = (50, 100, 200, 400, 800, 1600)
STRENGTHS = (0.5, 1.0)
POWER_LAWS = (
    "one coupling",
    "two directions",
    "disordered bonds",
    "plaquettes",
    "all pairs",
    "triples on a ring",
    "Curie-Weiss, no lattice",
    "Potts ring",
    "Gaussian field",
    "phi^4",
)
QUIET_LAWS = ("fair coins", "one coupling", "coupling and field", "disordered bonds", "Potts ring", "Gaussian noise")


def show(row: CalibrationRow) -> None:
    """Print an answer that is not the planted one."""
    if row.outcome != "correct":
        print(
            f"  {row.law}, {row.samples} samples: {row.chosen or 'undetermined'} for {row.answer}. {row.reason}",
            flush=True,
        )


def problems(count: int, *, seed: int) -> None:
    start = time.process_time()
    found = calibrate(planted_problems(count, seed=seed), seed=seed, progress=show)
    print(found.table())
    print(f"correct {found.correct.value:.3f} +- {found.correct.error:.3f} of {count}", end="; ")
    print(f"{time.process_time() - start:.0f} s of CPU", flush=True)


def curve_lines(curve: PowerCurve) -> list[str]:
    """Return one line of a table for each strength: right/undetermined/too simple/wrong in percent, by samples."""
    lines = []
    for strength in sorted({point.strength for point in curve.points}):
        cells = [
            "/".join(f"{100 * share.value:.0f}" for share in (p.correct, p.undetermined, p.too_simple, p.wrong))
            for p in curve.points
            if p.strength == strength
        ]
        lines.append(f"| {curve.law} | {strength:g} | " + " | ".join(cells) + " |")
    return lines


def power(draws: int, *, seed: int, names: tuple[str, ...], picture: Path | None) -> None:
    laws = {law.name: law for law in planted_laws()}
    print("| law | strength | " + " | ".join(map(str, SIZES)) + " |\n|" + "---|" * (2 + len(SIZES)))
    curves = []
    for name in names:
        curves.append(ladder_power(laws[name], samples=SIZES, strengths=STRENGTHS, draws=draws, seed=seed))
        print("\n".join(curve_lines(curves[-1])), flush=True)
    if picture is not None:
        draw(curves, picture)


def draw(curves: list[PowerCurve], picture: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 5, figsize=(13, 5), sharex=True, sharey=True)
    for axis, curve in zip(axes.flat, curves, strict=False):
        for strength, colour in zip(STRENGTHS, ("tab:orange", "tab:blue"), strict=True):
            points = [point for point in curve.points if point.strength == strength]
            sizes = [point.samples for point in points]
            axis.errorbar(
                sizes,
                [point.correct.value for point in points],
                [point.correct.error for point in points],
                color=colour,
                label=f"right, strength {strength:g}",
            )
            wrong = [point.too_simple.value + point.wrong.value for point in points]
            axis.plot(sizes, wrong, color=colour, linestyle=":", label=f"wrong, strength {strength:g}")
        axis.set_title(curve.law, fontsize=9)
        axis.set_xscale("log")
    for axis in axes[-1]:
        axis.set_xlabel("samples")
    axes[0, 0].set_ylabel("fraction")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def false_alarms(draws: int, *, seed: int, names: tuple[str, ...]) -> None:
    """Print how often laws far above their need are given too general a rung, or none."""
    laws = {law.name: law for law in planted_laws()}
    print("| law | samples | draws | too general | other | undetermined |\n|---|---|---|---|---|---|")
    for name in names:
        law = laws[name]
        drawn = [PlantedProblem(law, 2 * law.enough, seed=10_000 * (seed + 1) + number) for number in range(draws)]
        found = calibrate(drawn, seed=seed)
        counts = [sum(row.outcome == kind for row in found.rows) for kind in ("too general", "other", "undetermined")]
        print(f"| {name} | {2 * law.enough} | {draws} | " + " | ".join(map(str, counts)) + " |", flush=True)


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["problems", "power", "false-alarms"])
    parser.add_argument("--count", type=int, default=114, help="planted problems: three sizes of 38 laws")
    parser.add_argument("--draws", type=int, default=20, help="data sets for each point of a power curve")
    parser.add_argument("--quiet-draws", type=int, default=100, help="data sets for each false-alarm rate")
    parser.add_argument("--laws", nargs="+", help="names of the laws for power curves or false alarms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    names = tuple(given.laws) if given.laws else ()
    if given.only in (None, "problems"):
        problems(given.count, seed=given.seed)
    if given.only in (None, "power"):
        power(given.draws, seed=given.seed, names=names or POWER_LAWS, picture=given.picture)
    if given.only in (None, "false-alarms"):
        false_alarms(given.quiet_draws, seed=given.seed, names=names or QUIET_LAWS)


if __name__ == "__main__":
    main()
