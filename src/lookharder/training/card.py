"""What the card of a trained model says: how it was made, of which data, and on which terms that data is given."""

from lookharder.chain.card import write_card
from lookharder.training.run_config import RunConfig

TERMS = {  # of readers' data, as its publishers state them
    "procedural": "scenes rendered by this package, Apache-2.0",
    "collage": "cut-outs over photographs of a folder: the terms of these",
    "folder": "files of the trainer's own: the terms of these",
    "nyuv2": "NYU Depth V2: for research",
    "imagenet": "ImageNet: for research and education, not commercial",
    "hypersim": "Hypersim: CC BY-SA 3.0",
    "vkitti2": "Virtual KITTI 2: CC BY-NC-SA 3.0",
    "flying_chairs": "FlyingChairs: for research",
}


def card_of(config: RunConfig) -> str:
    """The card of a finished run's model; the licence of its weights is for the trainer to say."""
    readers = {config.data[source].spec.partition(":")[0]: None for source in config.train.mix}
    begun = f" from `{config.init}`" if config.init is not None else ""
    rows = "".join(f"- `{name}`: {TERMS.get(name, 'see its publisher')}\n" for name in readers)
    text = f"# {config.name}\n\nTrained by `lookharder train {config.name}`{begun}.\n\n## Data\n\n{rows}"
    return write_card(config.chain, text, datasets=readers)
