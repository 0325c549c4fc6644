"""The cards, by name: how the field scores each benchmark, and the rules of sets without one.

What stands in `verified` was run; a miniature is a set of a few small pictures, laid out as the published one, whose
scores the tests compute again with numpy alone.
"""

from dataclasses import replace

from lookharder.data.readers.flow_benchmarks import PASSES
from lookharder.errors import InputError
from lookharder.evaluate.card import Card
from lookharder.metrics.protocol import Protocol


def find_card(name: str, argument: str = "--protocol") -> Card:
    """A card by its name; `argument` is what an error calls it.

    Raises:
        InputError: there is none.
    """
    if name not in CARDS:
        raise InputError(argument, repr(name), f"one of {', '.join(CARDS)}")
    return CARDS[name]


MARIGOLD = "prs-eth/Marigold, script/depth and src/dataset (2312.02145)"
RAFT = "princeton-vl/RAFT, evaluate.py (2003.12039)"
SMALL = "the excerpt among the tests' reference data"
MINI = "miniature"
GESTALT = (
    "pix2gestalt, 2401.14398: grey up to 250 is object, majority vote; cvlab-columbia/pix2gestalt"
)
WILD = "Amodal Completion in the Wild, 2312.17247; COCO-A 1509.01329"
OWN_SIZE = "works at the model's own resolution, Marigold at the picture's: --set resolution=0"
KITTI = Protocol(name="kitti-eigen", task="depth", min_depth=1e-5, max_depth=80.0)
LASER = Protocol(name="diode", task="depth", min_depth=0.6, max_depth=350.0, own_mask=True)
FLOW_RULES = Protocol(
    name="sintel",
    task="flow",
    pooled=("epe", "epe_fitted", "epe_matched", "epe_unmatched", "px1", "px3", "px5"),
    regions=("matched", "unmatched"),
)
DEPTH = (
    *(
        Card(
            name=f"kitti-{mask}",
            version=1,
            reader="kitti_eigen",
            options=f"mask={mask}",
            images=652,
            split="Eigen's test drives, of 697 pictures those with improved depth; ?list= reads Marigold's list",
            crop=f"352 x 1216 at the bottom, in the middle; then the mask of {mask.capitalize()}",
            rules=replace(KITTI, name=f"kitti-{mask}"),
            source=MARIGOLD,
            departs=OWN_SIZE + "; without a list, all pairs that are there",
            verified=MINI,
        )
        for mask in ("eigen", "garg")
    ),
    Card(
        name="eth3d",
        version=1,
        reader="eth3d",
        images=454,
        split="training, multi-view, distorted",
        crop="none",
        rules=Protocol(name="eth3d", task="depth", min_depth=1e-5, max_depth=1e9, align_side=1024),
        resolution=756,
        source=MARIGOLD,
        departs="depth has no upper bound: 1e9 m",
        verified=MINI,
    ),
    Card(
        name="scannet",
        version=1,
        reader="scannet",
        images=800,
        split="sampled from the validation scans by Marigold; ?list= reads its list",
        crop="none",
        rules=Protocol(name="scannet", task="depth", min_depth=1e-3, max_depth=10.0),
        source=MARIGOLD,
        departs=OWN_SIZE + "; without a list, all pairs that are there",
        verified=MINI,
    ),
    *(
        Card(
            name=name,
            version=1,
            reader="diode",
            options=f"part={part}",
            images=images,
            split=f"validation, {part}",
            crop="the set's own mask, edges included",
            rules=replace(LASER, name=name),
            resolution=640,
            source=MARIGOLD,
            departs="nothing known",
            verified=MINI,
        )
        for name, part, images in (
            ("diode", "all", 771),
            ("diode-indoors", "indoors", 325),
            ("diode-outdoor", "outdoor", 446),
        )
    ),
)
FLOW = (
    *(
        Card(
            name=f"sintel-{rendering}",
            version=1,
            reader="sintel",
            options=f"pass={rendering}",
            images=1041,
            split="training",
            crop="none",
            rules=replace(FLOW_RULES, name=f"sintel-{rendering}"),
            source=RAFT,
            departs="nothing known",
            verified=MINI,
        )
        for rendering in PASSES
    ),
    Card(
        name="spring",
        version=1,
        reader="spring",
        images=4963,
        split="training, forward, left",
        crop="none",
        rules=Protocol(name="spring", task="flow", pooled=("epe", "px1", "px3", "px5", "fl_all")),
        source="Spring, 2303.01943",
        departs="every second row and column of the truth; the server's rule for its four values is not known here",
        verified=MINI,
    ),
    Card(
        name="middlebury",
        version=1,
        reader="middlebury_flow",
        images=8,
        split="the public pairs",
        crop="none",
        rules=Protocol(name="middlebury", task="flow"),
        source="Baker et al., IJCV 2011",
        departs="nothing known",
        verified=MINI,
    ),
)
AMODAL = tuple(
    Card(
        name=f"{name}-amodal",
        version=1,
        reader=f"{name}_amodal",
        images=images,
        split=split,
        crop="none",
        rules=Protocol(name=f"{name}-amodal", task="amodal"),
        source=f"{GESTALT}; {WILD}",
        departs=departs,
        verified=verified,
    )
    for name, images, split, departs, verified in (
        (
            "coco",
            13_000,
            "validation",
            "all regions, as published",
            SMALL + ", 32 regions; " + MINI,
        ),
        ("bsds", 650, "of 200 pictures", "which 650 regions were scored is not known here", MINI),
        (
            "mp3d",
            0,
            "evaluation",
            "the pickle is turned into JSON first; its size is not known here",
            MINI,
        ),
    )
)
CARDS = {
    card.name: card
    for card in (
        Card(
            name="nyuv2",
            version=1,
            reader="nyuv2",
            images=654,
            split="official test; `?split=val` is the 95 largest indices of the official training pictures",
            crop="Eigen: rows 45 to 470, columns 41 to 600 of 640 x 480",
            rules=Protocol(name="nyuv2", task="depth", min_depth=1e-3, max_depth=10.0),
            source=MARIGOLD,
            departs=OWN_SIZE
            + "; the small form has 320 x 240, 8 bits of 4 cm, and the crop is halved with it",
            verified="95 validation pictures of the small form; miniatures of the .mat, the tar and folders",
        ),
        Card(
            name="hypersim",
            version=1,
            reader="hypersim",
            images=7370,
            split="validation, Marigold's filter",
            crop="none",
            rules=Protocol(name="hypersim", task="depth", min_depth=1e-5, max_depth=65.0),
            source=MARIGOLD,
            departs=OWN_SIZE,
            verified=SMALL + ", 2 pictures",
        ),
        Card(
            name="flying-chairs",
            version=1,
            reader="flying_chairs",
            images=640,
            split="validation: marks 2 of FlyingChairs_train_val.txt",
            crop="none",
            rules=Protocol(name="flying-chairs", task="flow", pooled=("epe", "epe_fitted")),
            source=RAFT,
            departs="epe_fitted, each component fitted to the truth, stands beside epe; the paper's 3.08 may be that",
            verified=SMALL + ", 1 pair",
        ),
        Card(
            name="kitti-2015-flow",
            version=1,
            reader="kitti_flow",
            images=200,
            split="training",
            crop="none",
            rules=Protocol(name="kitti-2015-flow", task="flow", pooled=("fl_all",)),
            source=RAFT,
            departs="nothing known: end-point error is averaged over pictures, Fl-all over pixels",
            verified=SMALL + ", 1 pair",
        ),
        Card(
            name="pix2gestalt",
            version=2,
            reader="pix2gestalt",
            options="split=val",
            images=8370,
            split="the last hundredth, about, of 837 thousand by sorted path",
            crop="none",
            rules=Protocol(name="pix2gestalt", task="amodal"),
            source=GESTALT,
            departs="nothing known",
            verified=SMALL + ", the last of 5 objects; miniature",
        ),
        *DEPTH,
        *FLOW,
        *AMODAL,
    )
}
WITHOUT_CARD = {  # (task, reader) -> the card whose rules hold where none is asked for, and what hashes called them
    ("depth", "hypersim"): ("hypersim", "hypersim-depth"),
    ("depth", "kitti_depth"): ("kitti-eigen", "kitti-depth"),
    ("flow", "kitti_flow"): ("kitti-2015-flow", "kitti-flow"),
}


def rules_of(task: str, reader: str) -> Protocol:
    """How a task is scored on the data of a reader where no card is asked for."""
    if (task, reader) not in WITHOUT_CARD:
        return Protocol(name=f"{reader}-{task}", task=task)
    card, name = WITHOUT_CARD[task, reader]
    return replace(CARDS[card].rules, name=name)
