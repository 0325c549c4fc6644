"""What the kinds of jobs do: each a function of (its folder, its configuration, the folders of what it needs).

    train       a recipe, from its start or from the model of the job that it needs      -> FOLDER/run, FOLDER/model
    upcycle     the model of the job that it needs, with experts                         -> FOLDER/model
    evaluate    predictions of a model against held-out scenes, image by image           -> numbers
    loss        the diffusion loss of a model on held-out scenes, at fixed noise levels  -> numbers
    forecast    draws of a model, or a rival of them, as a forecast of held-out scenes   -> numbers

A result holds what a record needs: the network's cost, the compute spent on it so far, and each metric with its
interval over images. A stage that is stopped can be called again: a training goes on where it was.
"""

import fcntl
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.chain import Chain, ChainConfig
from lookharder.config import to_json
from lookharder.conversion import upcycle_folder
from lookharder.data.example import Dataset
from lookharder.data.source import HELD_OUT_SEED, DataConfig, open_data
from lookharder.evaluate.evaluation import evaluate as score
from lookharder.evaluate.evaluation import protocol
from lookharder.evaluate.forecast import forecast as draw
from lookharder.evaluate.forecast import rival
from lookharder.evaluate.forecast_scores import forecast_scores
from lookharder.evaluate.held_out import validation_loss
from lookharder.hardware import pick_device
from lookharder.jsons import read_json, read_lines
from lookharder.metrics.scores import SCORES, forecast_rule
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.predictor import Predictor
from lookharder.seeding import torch_generator
from lookharder.study.facts import facts, lineage, macs_of, result_of
from lookharder.study.nano import recipe, world
from lookharder.study.queue.worker import Stage, Stopped
from lookharder.training.run import RunConfig, run


def train(folder: Path, config: Mapping[str, Any], needs: Sequence[Path]) -> dict[str, Any]:
    """Run or resume a recipe, `{"recipe": NAME, "arguments" or "set": ...}`, from the model of `needs[0]` if any.

    With `"own_chain": true` the weights go into the recipe's system, whose schedule, prediction and resolution may be
    others than that model's; otherwise it goes on as what it is. Nothing is copied from one task's inputs to
    another's: a map that reads noisy images at a tenth of their size reads clean ones worse than a fresh one does
    (`docs/log.md`).

    Raises:
        Stopped: a signal came; what was learnt is saved.
    """
    made = recipe(config)
    if config["recipe"] != "nano" and pick_device("auto").type == "cuda":  # as its price assumes
        made = replace(made, runtime=replace(made.runtime, precision="bfloat16", compiled=True))
    finished = folder / "run" / "model" / "README.md"  # written last
    before = {"train_macs": 0.0, "train_macs_paper": 0.0, "train_images": 0}
    if needs:
        before = result_of(needs[0])
        model = needs[0] / "model"
        if config.get("own_chain", False) and not finished.exists():
            model = _moved(Chain.load(model), made.chain, folder / "start")
        if not finished.exists() and config["recipe"] == "nano":  # it goes on as what it is
            made = replace(made, chain=Chain.load(model).config)
        made = replace(made, init=str(model))
    if not finished.exists():
        _forget_another(made, folder / "run")
        for data in made.data.values():
            _opened(data)
        for _ in run(made, folder / "run"):
            pass
        if not finished.exists():
            raise Stopped(f"{folder}: saved, to be resumed")
    if not (folder / "model").exists():
        (folder / "model").symlink_to(Path("run", "model"))
    for spent in (folder / "run" / "checkpoints", folder / "start"):  # the model is what is kept
        shutil.rmtree(spent, ignore_errors=True)
    chain = Chain.load(folder / "model")
    fields = _fields(chain, made)
    images = made.train.iterations * made.train.batch_size
    macs, linear = macs_of(chain)
    return {
        **facts(chain),
        "train_images": before["train_images"] + images,
        "train_macs": before["train_macs"] + 3.0 * macs * images * fields,
        "train_macs_paper": before["train_macs_paper"] + 2.0 * linear * images * fields,
        "train_loss": _last_losses(folder / "run" / "metrics.jsonl"),
    }


def upcycle(folder: Path, config: Mapping[str, Any], needs: Sequence[Path]) -> dict[str, Any]:
    """Experts for the model of `needs[0]`: `{"experts": E, "active": K, "seed": S}`."""
    shutil.rmtree(folder / "model", ignore_errors=True)
    report = upcycle_folder(
        needs[0] / "model",
        folder / "model",
        experts=config["experts"],
        active=config["active"],
        seed=config["seed"],
    )
    return {**lineage(needs[0], Chain.load(folder / "model")), "checks": dict(report.checks)}


def evaluate(folder: Path, config: Mapping[str, Any], needs: Sequence[Path]) -> dict[str, Any]:
    """Score the model of `needs[0]`.

    `{"task", "scenes", "size", "steps", "members", "seed"}`, and optionally `sampler`, `spacing`,
    `noise_schedule`, `merge`.
    """
    chain = _loaded(needs[0])
    task = config["task"]
    result = score(
        Predictor(chain, chain.device, needs[0].name),
        task,
        _opened(_held_out(config)),
        data=_held_out(config).spec,
        rules=protocol(task, _held_out(config).spec.partition(":")[0], chain),
        steps=config["steps"],
        members=config["members"],
        seed=config["seed"],
        sampler=config.get("sampler"),
        spacing=config.get("spacing"),
        merge=config.get("merge"),
        noise_schedule=config.get("noise_schedule"),
    )
    macs, linear = macs_of(chain)
    calls = result.macs_per_image / max(1, macs)
    metrics, scores = {}, SCORES[task]
    for name in scores.studied:
        values = [row[name] for row in result.rows if row.get(name) is not None]
        metrics[scores.error_name(name)] = _metric([scores.error(name, v) for v in values])
    trivial = {k: v["mean"] for k, v in result.means.items() if k.startswith("trivial.")}
    return {
        **lineage(needs[0], chain),
        "task": task,
        "protocol": result.protocol.hash,
        "inference_macs": result.macs_per_image,
        "inference_macs_paper": 2.0 * linear * calls,
        "metrics": metrics,
        "trivial": trivial,
    }


def loss(folder: Path, config: Mapping[str, Any], needs: Sequence[Path]) -> dict[str, Any]:
    """Diffusion loss of the model of `needs[0]`: `{"task", "scenes", "size", "levels", "seed"}`.

    Its compute axis is that of training alone; one forward stands for its inference.
    """
    chain = _loaded(needs[0])
    dataset = _opened(_held_out(config))
    values = validation_loss(chain, config["task"], dataset, config["levels"], config["seed"])
    macs, linear = macs_of(chain)
    return {
        **lineage(needs[0], chain),
        "task": config["task"],
        "protocol": f"loss at {config['levels']} levels",
        "inference_macs": float(macs),
        "inference_macs_paper": 2.0 * linear,
        "metrics": {"loss": _metric(values.mean(1).tolist())},
        "by_level": values.mean(0).tolist(),
    }


def forecast(folder: Path, config: Mapping[str, Any], needs: Sequence[Path]) -> dict[str, Any]:
    """Score draws of the model of `needs[0]`: `{"task", "scenes", "size", "steps", "members", "seed"}`.

    With `rival` the draws are copies of one answer, each with noise of that kind.
    """
    chain, task = _loaded(needs[0]), config["task"]
    how, members = config.get("rival"), config["members"]
    drawn = 1 if how else members
    found = draw(
        chain,
        task,
        _opened(_held_out(config)),
        steps=config["steps"],
        members=drawn,
        seed=config["seed"],
    )
    if how:
        found = rival(found, how, members, config["seed"])
    scores, studied = forecast_scores(found, task, config["seed"]), forecast_rule(task).studied
    macs, linear = macs_of(chain)
    calls = config["steps"] * drawn * chain.task(task).fields
    return {
        **lineage(needs[0], chain),
        "task": task,
        "protocol": f"{members} draws",
        "inference_macs": float(macs * calls),
        "inference_macs_paper": 2.0 * linear * calls,
        "metrics": {name: scores[name].to_json() for name in studied if name in scores},
    }


STAGES: dict[str, Stage] = {
    "train": train,
    "upcycle": upcycle,
    "evaluate": evaluate,
    "loss": loss,
    "forecast": forecast,
}


def _moved(model: Chain, config: ChainConfig, folder: Path) -> Path:
    """Write the weights of a model as another system with a network of its shape; the folder."""
    chain = Chain.build(config, torch_generator("unused"))
    chain.network.load_state_dict(model.network.state_dict())
    chain.save(folder, f"# {folder.name}\n\nWeights to begin from.\n")
    return folder


def _forget_another(made: RunConfig, out: Path) -> None:
    """Remove an unfinished run that the code, as it now is, would begin otherwise."""
    path = out / "config.json"
    if path.exists():
        found = read_json(path)
        if found != to_json(made):
            shutil.rmtree(out)


def _loaded(folder: Path) -> Chain:
    """The model of a job, on a GPU where this worker has one."""
    return Chain.load(folder / "model").to(pick_device("auto"))


def _fields(chain: Chain, made: RunConfig) -> float:
    """Network inputs of one training example, on average over the mix."""
    mix = made.train.mix
    return sum(s * chain.task(name).fields for name, s in mix.items()) / sum(mix.values())


def _held_out(config: Mapping[str, Any]) -> DataConfig:
    """The data that a configuration names, or scenes of a seed on which no recipe trains."""
    if "data" in config:
        return DataConfig(spec=config["data"], size=config["size"])
    return world(config["scenes"], HELD_OUT_SEED, config["size"])


def _opened(data: DataConfig) -> Dataset:
    """Open a data set; where it has to be rendered first, one worker renders while the others wait."""
    if data.store is None:
        return open_data(data)
    Path(data.store).mkdir(parents=True, exist_ok=True)
    with (Path(data.store) / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return open_data(data)


def _last_losses(path: Path) -> float | None:
    """The mean training loss over the last tenth of the iterations that have one; None where none has."""
    rows = (row for _, row in read_lines(path) if not row.get("excluded"))
    losses = [row["loss"] for row in rows if row["loss"] is not None]  # null: not finite, skipped
    return float(np.mean(losses[-max(1, len(losses) // 10) :])) if losses else None


def _metric(values: Sequence[float]) -> dict[str, Any]:
    mean, low, high = bootstrap_mean(list(values), 0)
    return {"value": mean, "low": low, "high": high, "per_image": list(values)}
