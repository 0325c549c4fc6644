"""The verb `sample`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import MAX_SCENE, add_device, add_sampler
from lookharder.cli.parser import Parser, number, whole

HELP = "pictures of classes, by a model that was pre-trained to make them"
EPILOG = """Written are OUT/grid.png, a row for each class, and OUT/samples.npz as ADM's evaluation reads it: arr_0,
pictures (N, H, W, 3), and arr_1, their classes. DiT draws with --sampler ddpm --spacing linspace --steps 250."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder sample` takes."""
    parser.add_argument("model", metavar="MODEL", help="model folder, or org/name of the hub")
    parser.add_argument(
        "--classes",
        type=whole(0),
        nargs="+",
        required=True,
        metavar="K",
        help="class labels, from 0",
    )
    parser.add_argument(
        "--count", type=whole(1), default=8, metavar="N", help="pictures of each [%(default)s]"
    )
    parser.add_argument(
        "--guidance",
        type=number,
        default=1.0,
        metavar="S",
        help="scale of classifier-free guidance; 1: none [%(default)s]",
    )
    parser.add_argument(
        "--guided",
        type=whole(1),
        default=3,
        metavar="C",
        help="channels of the latent that are guided, 3 as of DiT [%(default)s]",
    )
    parser.add_argument("--steps", type=whole(1), metavar="T", help="denoising steps [the model's]")
    add_sampler(parser)
    parser.add_argument(
        "--size", type=whole(8, MAX_SCENE), metavar="S", help="side, pixels [the model's]"
    )
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=16,
        metavar="B",
        help="pictures at a time [%(default)s]",
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="S", help="key of the noise [%(default)s]"
    )
    add_device(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder")


def run(args: argparse.Namespace) -> int:
    """Draw, write and say where."""
    import numpy as np

    from lookharder.cli.arguments import open_model
    from lookharder.cli.terminal import progress
    from lookharder.data.formats import write_image, write_npz
    from lookharder.errors import InputError
    from lookharder.files import make_folder
    from lookharder.predict.effort import Effort
    from lookharder.predict.generation import generate

    if args.guidance < 0:
        raise InputError("--guidance", args.guidance, "0 or more")
    predictor = open_model(args, "generation")
    chain = predictor.chain
    if "generation" not in chain.tasks:
        allowed = "a model with the task generation: a converted DiT, or one that was pre-trained"
        raise InputError("MODEL", f"{args.model}, which does {', '.join(chain.tasks)}", allowed)
    make_folder(args.out)
    effort = Effort(
        steps=args.steps or chain.config.steps,
        sampler=args.sampler or "ddim",
        spacing=args.spacing or chain.config.sampling.spacing,
    )
    drawn = generate(
        chain,
        args.classes,
        args.count,
        effort=effort,
        guidance=args.guidance,
        guided=args.guided,
        seed=args.seed,
        size=args.size,
        device=predictor.device,
        chunk=args.batch_size,
    )
    with progress(total=len(args.classes), desc="classes") as bar:
        rows = []
        for _, images in drawn:
            rows.append(images.numpy())
            bar.update()
    pictures = np.concatenate(rows)  # (K N, 3, H, W)
    grid = np.concatenate([np.concatenate(list(row), axis=2) for row in rows], axis=1)
    write_image(args.out / "grid.png", grid)
    labels = np.repeat(np.asarray(args.classes, np.int64), args.count)
    arrays = {"arr_0": np.ascontiguousarray(np.moveaxis(pictures, 1, -1)), "arr_1": labels}
    write_npz(args.out / "samples.npz", arrays)
    print(
        f"{predictor.name}: {len(pictures)} pictures of {len(args.classes)} classes, {effort.steps} steps of "
        f"{effort.sampler}, guidance {args.guidance:g}: {args.out}"
    )
    return 0
