"""What training and prediction share: condition, target, labels."""

import pytest
import torch

from lookharder.chain import Chain, ChainConfig, routes
from lookharder.config import from_json, to_json
from lookharder.data.example import collate
from lookharder.data.procedural import FAMILIES, ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.registry import GENERALIST

CONFIG = pixel_chain(width=32, depth=1, heads=2, resolution=32)
WORLD = Remembered(ProceduralWorld(32, 5, count=8))


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain.build(CONFIG, torch_generator(0))


@pytest.fixture(scope="module")
def batch():
    return collate([WORLD[0], WORLD[1]])


@pytest.mark.parametrize("name", ["generation", "depth", "flow", "amodal"])
def test_condition_is_what_decodes_to_the_sources(chain, batch, name):
    task = chain.tasks[name]
    condition = chain.condition(task, batch)
    assert condition.shape == (2, 2 * 48, 8, 8)
    sources = task.condition(batch)
    if name == "generation":
        assert (condition == 0).all()
        return
    for i in range(2):
        decoded = chain.autoencoder.decode(condition[:, 48 * i : 48 * (i + 1)])
        torch.testing.assert_close(decoded, sources[:, i])


def test_target_marks_a_cell_unknown_when_any_of_its_pixels_is(chain, batch):
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[0, 5, 6] = False
    holed = type(batch)(name=batch.name, image=batch.image, depth=batch.depth, depth_valid=valid)
    target, known = chain.target(chain.tasks["depth"], holed)
    assert target.shape == (2, 1, 48, 8, 8)
    assert (~known).nonzero().tolist() == [[0, 0, 1, 1]]


def test_labels_are_rows_of_their_own(chain, batch):
    rows = {name: chain.labels(task, batch) for name, task in chain.tasks.items()}
    classes = len(FAMILIES)
    assert rows["generation"].flatten().tolist() == batch.label.tolist()
    assert rows["depth"].tolist() == [[classes]] * 2
    assert rows["flow"].tolist() == [[classes + 1]] * 2
    assert rows["amodal"].tolist() == [[classes + 2]] * 2
    assert chain.config.model.null_label == classes + 3


def test_the_papers_two_fields_have_two_labels_and_one_embedding():
    tasks = (Depth(), Flow(layout="split"))
    assert routes(tasks) == (1, 2, 2)
    assert routes(GENERALIST) == (1, 2, 3)


def test_configuration_comes_back_from_json():
    assert from_json(ChainConfig, to_json(CONFIG)) == CONFIG


def test_configurations_that_do_not_fit_are_refused():
    data = to_json(CONFIG)
    with pytest.raises(InputError, match="tasks"):
        from_json(ChainConfig, data | {"tasks": data["tasks"] + data["tasks"][-1:]})
    with pytest.raises(InputError, match=r"model\.routes"):
        from_json(ChainConfig, data | {"tasks": data["tasks"][:-1]})
    with pytest.raises(InputError, match="in_channels"):
        Chain.build(pixel_chain_with_other_codec(), torch_generator(0))


def pixel_chain_with_other_codec() -> ChainConfig:
    return from_json(ChainConfig, to_json(CONFIG) | {"autoencoder": {"kind": "pixel", "factor": 2}})


def test_half_precision_on_disk_is_float32_in_memory(chain, tmp_path):
    chain.save(tmp_path / "m", card="# m\n", half=True)
    loaded = Chain.load(tmp_path / "m")
    for a, b in zip(chain.network.parameters(), loaded.network.parameters(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
