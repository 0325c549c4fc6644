"""The verb `plan`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lookharder.cli.parser import Parser, number
from lookharder.errors import InputError, counted
from lookharder.hardware import MFU

if TYPE_CHECKING:
    from lookharder.scaling.laws import Family, FamilySize
    from lookharder.scaling.plan import Plan
    from lookharder.visualize.html import Table

HELP = "a budget in, a recipe out, by the laws of a study"
EPILOG = """One of: --training, --inference, both; or, for --answers images to be served, --total or --error.
A budget B is FLOPs (1e18, 3 EFLOPs, 5 GMACs), time ("20 GPU-hours") or money ("$50", with --price)."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder plan` takes."""
    parser.add_argument("laws", type=Path, metavar="LAWS.json", help="the laws that a study found")
    parser.add_argument("--task", metavar="TASK", help="what to plan for [the only one]")
    parser.add_argument("--training", metavar="B", help="budget of the training")
    parser.add_argument("--inference", metavar="B", help="budget of one image's answer")
    parser.add_argument("--total", metavar="B", help="budget of the training and all answers")
    parser.add_argument("--error", type=number, metavar="X", help="to be reached for the least")
    parser.add_argument("--answers", type=number, metavar="N", help="images that will be served")
    parser.add_argument(
        "--device",
        default="h100",
        metavar="D",
        help="accelerator: a100, h100, h200 and others [%(default)s]",
    )
    parser.add_argument(
        "--mfu",
        type=number,
        default=MFU,
        metavar="S",
        help="share of the device's peak that is reached [%(default)s]",
    )
    parser.add_argument("--price", type=number, metavar="P", help="of one device for an hour, $")
    parser.add_argument("--explain", action="store_true", help="the best of every size, too")


def run(args: argparse.Namespace) -> int:
    """Print the plan that has the least error, or costs the least."""
    from lookharder.cli.terminal import show
    from lookharder.scaling.budgets import Rates, flops_of
    from lookharder.scaling.laws import Laws
    from lookharder.scaling.plan import Goal, plan

    rates = Rates(device=args.device, share=args.mfu, price=args.price)
    budgets = {
        name: flops_of(f"--{name}", text, rates)
        for name in ("training", "inference", "total")
        if (text := getattr(args, name)) is not None
    }
    goal = Goal(**budgets, error=args.error, answers=args.answers)
    found = Laws.read(args.laws)
    if not found.families:
        got = f"{args.laws}, with nothing to plan from"
        raise InputError(
            "laws", got, "those of a folder where model-size and allocation are measured"
        )
    tasks = sorted({family.task for family in found.families})
    if args.task not in (tasks if args.task or len(tasks) != 1 else [None]):
        raise InputError("--task", args.task or "nothing", f"one of {tasks}")
    families = [f for f in found.families if args.task in (None, f.task)]
    best, frontier = plan(families, goal)

    for line in _lines(best, goal.answers):
        print(line)
    given = [text for text in (args.training, args.inference, args.total) if text is not None]
    if any("GPU" in text or "$" in text for text in given):
        print(f"assumed    {rates}")
    for said in best.assumes:
        print(f"assumed    {said}")
    if args.explain:
        note = "T steps, N members; FLOPs of an answer, and of all; * outside what was measured."
        have = {(p.family.name, p.size.name) for p in frontier}
        out = [_name(f, s) for f in families for s in f.sizes if (f.name, s.name) not in have]
        note += f" Not within the budget: {', '.join(out)}." if out else ""
        title = f"{best.family.task}, {best.family.metric}: the best of each size"
        show(title, _table(frontier, best), note)
    return 0


def _lines(plan: "Plan", answers: float | None) -> list[str]:
    family, size = plan.family, plan.size
    sure = "no interval"
    if plan.low is not None:
        sure = f"95 %: {plan.low:.4g} to {plan.high:.4g}, for one training"
    lines = [
        f"network    {size.name}, {family.architecture}: {size.params / 1e6:.3g} M parameters, "
        f"{size.active_params / 1e6:.3g} M active, {family.resolution} px ({family.name})",
        f"training   {plan.iterations} iterations of {family.batch} images"
        + (f" ({family.recipe})" if family.recipe else "")
        + f", {plan.training:.3g} FLOPs",
        f"answering  {counted(plan.steps, 'step')}, {counted(plan.draws, 'member')}, "
        f"{plan.inference:.3g} FLOPs an image",
    ]
    if answers is not None:
        lines.append(f"total      {plan.total:.3g} FLOPs with {answers:g} answers")
    lines.append(f"expected   {family.metric} {plan.error:.4g} ({sure})")
    if plan.extrapolates:
        factors = {
            "training compute": plan.compute_beyond,
            "size": plan.params_beyond,
            "images": plan.images_beyond,
        }
        said = ", ".join(f"{name} by {f:.3g} x" for name, f in factors.items() if f > 1.001)
        lines.append(f"beyond     what was measured: {said}; this is extrapolation")
    return lines


def _table(plans: "tuple[Plan, ...]", best: "Plan") -> "Table":
    from lookharder.visualize.html import Table

    columns = ("", "network", "iterations", "TxN", "answer", "total", "error", "95 %")
    rows = [
        (
            ">" if plan == best else "",
            _name(plan.family, plan.size),
            str(plan.iterations) if plan.iterations < 1e7 else _short(float(plan.iterations)),
            f"{plan.steps}x{plan.draws}",
            _short(plan.inference),
            _short(plan.total),
            f"{plan.error:.3g}" + "*" * plan.extrapolates,
            "" if plan.low is None else f"{plan.low:.2g}..{plan.high:.2g}",
        )
        for plan in plans
    ]
    return Table(columns=columns, rows=rows)


def _name(family: "Family", size: "FamilySize") -> str:
    """The network of a row, whose task the title says."""
    return f"{size.name} {family.name.removeprefix(family.task + '-')}"


def _short(value: float) -> str:
    """Two digits: 5e12."""
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e").replace(".0e", "e")
