import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lookharder.errors import InputError
from lookharder.models.dit import SIZES, DiT, DiTConfig, sized
from lookharder.models.flops import Cost, breakdown, count
from lookharder.models.moe import MoEConfig

GROUPS = {  # the group of a parameter, by a part of its name
    "stem.": "stem",
    "head.": "head",
    "x_embedder": "patch embedding",
    "t_embedder": "timestep",
    "y_embedder": "labels",
    "final_layer": "final layer",
    ".attn.": "attention projections",
    ".mlp.fc": "mlp",
    ".moe.": "mlp",
    "adaLN": "modulation",
}

MOES = st.builds(
    MoEConfig,
    experts=st.integers(2, 4),
    active=st.integers(1, 2),
    shared=st.integers(0, 2),
    expert=st.sampled_from(["swiglu", "gelu"]),
    backend=st.just("loop"),
)

FIELDS = st.fixed_dictionaries(
    {
        "num_heads": st.integers(1, 3),
        "hidden_size": st.sampled_from([12, 24, 60]),
        "patch_size": st.integers(1, 3),
        "input_size": st.sampled_from([6, 12]),
        "routes": st.sampled_from([(), (0,), (0, 1), (1, 0, 2, 2)]),
        "in_channels": st.integers(1, 5),
        "out_channels": st.none() | st.integers(1, 4),
        "depth": st.integers(1, 3),
        "num_classes": st.integers(0, 9),
        "learn_sigma": st.booleans(),
        "mlp_ratio": st.sampled_from([4.0, 2.5, 1 / 7]),
        "qk_norm": st.booleans(),
        "moe": st.none() | MOES,
    }
)

STEMS = FIELDS.flatmap(
    lambda fields: st.fixed_dictionaries(
        {
            "stem": st.just("conv"),
            "stem_widths": st.sampled_from([(8,), (8, 16), (16, 8)]),
            "patch_size": st.sampled_from([4, 8]),
            "input_size": st.just(16),
        }
    ).map(lambda stem: fields | stem)
)


@given(fields=FIELDS | STEMS, rows=st.integers(1, 5), columns=st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_macs_are_those_that_torch_counts(fields, rows, columns):
    config = DiTConfig(**fields)
    height, width = rows * config.patch_size, columns * config.patch_size
    network = DiT(config)
    x = torch.zeros(3, config.in_channels, height, width)
    y = torch.zeros(3, dtype=torch.long)
    # The mathematical attention is two matrix products; fused kernels hide them on some devices.
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter, torch.no_grad():
        network(x, y, y)
    assert counter.get_total_flops() == 3 * 2 * count(config, height, width).macs


@given(fields=FIELDS | STEMS)
@settings(deadline=None, max_examples=20)
def test_parameters_are_the_model_s_group_by_group(fields):
    config = DiTConfig(**fields)
    with torch.device("meta"):
        network = DiT(config)
    kinds = [g for g in GROUPS.values() if config.stem == "conv" or g not in ("stem", "head")]
    held = dict.fromkeys(kinds, 0)
    for name, parameter in network.named_parameters():
        group = next(group for part, group in GROUPS.items() if part in name)
        held[group] += parameter.numel()
    groups = breakdown(config, config.input_size, config.input_size)
    assert {name: cost.params for name, cost in groups.items() if cost.params} == held
    total = count(config, config.input_size, config.input_size)
    assert total == sum(groups.values(), Cost(params=0, active_params=0, macs=0))
    assert total.params == sum(parameter.numel() for parameter in network.parameters())
    unused = (config.embeddings - 1) * (network.x_embedder.proj.weight[0].numel() + 1)
    unused *= config.hidden_size
    if config.moe is not None:
        idle = config.moe.experts - config.moe.active
        for block in network.blocks:
            unused += idle * sum(p[0].numel() for p in block.moe.experts.parameters())
    assert total.active_params == total.params - unused


@pytest.mark.parametrize(
    ("size", "millions", "linear", "total", "total_512"),
    [  # arXiv 2411.08034, table 1, and DiT, table 1; GMACs at 256 px without and with attention
        ("a1", 14.8, 2.42, 2.83, 16.1),
        ("a2", 77.2, 12.9, 14.0, 68.8),
        ("a3", 215.5, 36.3, 38.3, 177),
        ("a4", 458, 77.5, 80.7, 361),
        ("a5", 1200, 203, 209, 902),
        ("a6", 1860, 316, 324, 1384),
        ("S", 33, None, 6.06, None),
        ("B", 130, None, 23.0, None),
        ("L", 458, None, 80.7, None),
        ("XL", 675, None, 118.6, 524.5),
    ],
)
def test_sizes_cost_what_their_papers_say(size, millions, linear, total, total_512):
    config = sized(size, input_size=32, in_channels=4, num_classes=1000, learn_sigma=True)
    groups = breakdown(config, 32, 32)
    cost = count(config, 32, 32)
    positions = 256 * config.hidden_size  # which the papers count as parameters
    assert (cost.params + positions) / 1e6 == pytest.approx(millions, rel=0.005)
    assert cost.active_params == cost.params
    assert cost.macs / 1e9 == pytest.approx(total, rel=0.003)
    if linear is not None:
        assert (cost.macs - groups["attention"].macs) / 1e9 == pytest.approx(linear, rel=0.004)
    if total_512 is not None:
        assert count(config, 64, 64).macs / 1e9 == pytest.approx(total_512, rel=0.003)


@pytest.mark.parametrize(
    ("size", "total", "active", "linear"),
    [  # DiT-MoE (2407.11633), table 1, and arXiv 2411.08034: millions, and GMACs at 256 px without attention
        ("S-8E2A", 199, 71, 15.43),
        ("S-16E2A", 369, 71, 15.44),
        ("B-8E2A", 795, 286, 61.7),
        ("L-8E2A", 2_800, 1_000, 219.26),
        ("XL-8E2A", 4_100, 1_500, 323.7),
        ("G-16E2A", 16_500, 3_100, 690.9),
        ("a2-8E2A-upcycled", 312, 111, None),
        ("a3-8E2A-upcycled", 877, 310, None),
        ("a4-8E2A-upcycled", 1_870, 660, None),
        ("a5-8E2A-upcycled", 4_900, 1_730, None),
        ("XL-8E2A-upcycled", 2_760, 973, None),
    ],
)
def test_mixtures_cost_what_their_papers_say(size, total, active, linear):
    config = sized(size, input_size=32, in_channels=4, num_classes=1000, learn_sigma=True)
    groups, cost = breakdown(config, 32, 32), count(config, 32, 32)
    assert cost.params / 1e6 == pytest.approx(total, rel=0.02)
    assert cost.active_params / 1e6 == pytest.approx(active, rel=0.03)
    if linear is not None:
        assert (cost.macs - groups["attention"].macs) / 1e9 == pytest.approx(linear, rel=0.001)


@pytest.mark.parametrize("size", ["a6", "L-8E2A", "XL-8E2A", "XL-8E2A-upcycled"])
def test_paper_sizes_build_on_the_meta_device(size):
    config = sized(size, input_size=32, in_channels=4, num_classes=1000, learn_sigma=True)
    with torch.device("meta"):
        network = DiT(config)
    held = sum(parameter.numel() for parameter in network.parameters())
    assert held == count(config, 32, 32).params


def test_sizes_are_the_papers_rows():
    assert [tuple(SIZES[f"a{i}"])[:3] for i in range(1, 7)] == [
        (12, 256, 16),
        (16, 512, 16),
        (20, 768, 16),
        (24, 1024, 16),
        (28, 1536, 16),
        (32, 1792, 16),
    ]
    assert {name: tuple(SIZES[name])[:3] for name in ("S", "B", "L", "XL")} == {
        "S": (12, 384, 6),
        "B": (12, 768, 12),
        "L": (24, 1024, 16),
        "XL": (28, 1152, 16),
    }


def test_latents_that_the_patch_does_not_divide_are_refused():
    config = sized("nano", input_size=8, in_channels=4, num_classes=1, learn_sigma=False)
    with pytest.raises(InputError, match="height: got 7"):
        count(config, 7, 8)
    with pytest.raises(InputError, match="width: got 0"):
        count(config, 8, 0)
