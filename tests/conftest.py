"""Fixtures that all tests share; what is slow to import is imported by them, since xdist's controller runs none."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# how fast examples are made is the machine's affair, and no fault of what is tested
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@dataclass(frozen=True)
class Forked:
    """A process that a test has started, and the file of what it prints."""

    process: ForkServerProcess
    log: Path

    def wait(self, seconds: float = 240) -> int:
        """Its exit code, negative for a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "it hangs"
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text()


# Processes that tests start are forks of one that has imported torch, training and prediction: that costs seconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "torch._dynamo",
        "torch.distributed.fsdp",
        "torch.distributed.tensor",
        "lookharder.training.run",
        "lookharder.cli.request",
    ]
)
BEGIN = """
import os, sys
os.environ |= {environment}
sys.argv = {arguments}
for stream in (1, 2):
    os.dup2(os.open({log}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
"""

SHARED = Path(__file__).resolve().parents[2] / "shared"
PARITY = Path(__file__).parent / "fixtures" / "parity"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a reference file or data set outside the repository; skips where it is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"reference data absent: shared/{relative}")
        return path

    return find


@pytest.fixture
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Forked]]:
    """Starts `python -c CODE ARGUMENTS...` with so much more in its environment; killed when the test ends."""
    started: list[Forked] = []

    def begin(code: str, *arguments: object, **environment: str) -> Forked:
        log = tmp_path_factory.mktemp("fork") / "log"
        before = BEGIN.format(
            environment={"OMP_NUM_THREADS": "1", **environment},
            arguments=["-c", *map(str, arguments)],
            log=repr(str(log)),
        )
        process = FORKS.Process(target=exec, args=(before + code, {"__name__": "__main__"}))
        process.start()
        started.append(Forked(process, log))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.join()


@pytest.fixture
def opened_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles are opened in this process: one of their own (`test_foreign.py`) imports torch first."""
    from lookharder.models.foreign import unpickle, weightfile

    def opened(path: Path, folder: Path) -> Path:
        unpickle.convert(path, folder / "weights.safetensors")
        return folder / "weights.safetensors"

    monkeypatch.setattr(weightfile, "_unpickled", opened)


@pytest.fixture(scope="session", params=["small", "large"])
def parity(request: pytest.FixtureRequest, shared: Callable[[str], Path]) -> Callable[[str], Path]:
    """Path of what another implementation computes, by name; `fixtures/make_parity.py` made the small ones."""

    def find(name: str) -> Path:
        small = PARITY / f"{name}.safetensors"
        return small if request.param == "small" else shared(f"parity/{name}.safetensors")

    return find


@pytest.fixture(scope="session")
def parity_copy() -> Callable[[str], Path]:
    """The same for files that another implementation wrote itself and that are small enough to be here."""
    return lambda name: PARITY / f"{name}.safetensors"


@pytest.fixture
def raft_field(
    parity: Callable[[str], Path], shared: Callable[[str], Path]
) -> tuple[np.ndarray, dict[str, Any]]:
    """A field (H, W, 2), and its file with RAFT's scores and colours: a synthetic field, one of FlyingChairs.

    Of the latter, the file's `gt` holds the first bytes at full size (a strided view written without its strides), so
    the field itself is read and strided here; that it is the same field is checked first.
    """
    from safetensors import safe_open

    with safe_open(parity("flow_metrics"), "np") as file:
        stored = {name: file.get_tensor(name) for name in ("pred", "gt", "color_of_gt")}
        meta = file.metadata()
    field = stored["gt"]
    if "RAFT" in meta.get("source", ""):
        raw = shared("data/flying_chairs/data/00006_flow.flo").read_bytes()
        full = np.frombuffer(raw, "<f4", offset=12).reshape(384, 512, 2)
        field = full[::4, ::4]
        same = np.array_equal(stored["gt"], field)
        assert same or np.array_equal(stored["gt"].ravel(), full.ravel()[: field.size])
    return field, {**stored, "expected": json.loads(meta["expected"])}


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small generalist with random weights, resolution 32, 2 steps by default."""
    import torch

    from lookharder.chain import Chain
    from lookharder.recipes import pixel_chain
    from lookharder.seeding import torch_generator

    chain = Chain.build(
        replace(pixel_chain(width=32, depth=1, heads=2, resolution=32), steps=2), torch_generator(0)
    )
    generator = torch_generator(1)
    with torch.no_grad():  # a fresh network answers zero; this one answers something
        for parameter in chain.network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    folder = tmp_path_factory.mktemp("models") / "random"
    chain.save(folder, "# Random weights\n")
    return folder


@pytest.fixture(scope="session")
def random_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random AutoencoderKL with Stable Diffusion's factor of 8 and 4 channels, in miniature."""
    import torch

    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
        )
    folder = tmp_path_factory.mktemp("models") / "vae"
    vae.save_pretrained(folder)
    return folder
