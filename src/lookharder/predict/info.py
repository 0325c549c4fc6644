"""What a model is: a digest of it, and its figures in words."""

import hashlib
import json
from typing import Any

import torch

from lookharder.autoencoder.base import weights_digest
from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.models.flops import count


def fingerprint(chain: Chain) -> str:
    """A digest of the configuration and of every weight: equal models, equal digests."""
    digest = hashlib.sha256(json.dumps(to_json(chain.config), sort_keys=True).encode())
    digest.update((weights_digest(chain.autoencoder) or "").encode())
    for name, weights in sorted(chain.network.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def untrained(chain: Chain) -> bool:
    """Whether the last layer is zero, as it is drawn: whatever such a network is shown, it gives nothing."""
    network = chain.network
    last = network.final_layer.linear if network.head is None else network.head.out
    return not bool(last.weight.any())


def describe(chain: Chain, name: str, device: torch.device) -> dict[str, Any]:
    """What a model is, as plain values: sizes in numbers, multiply-adds of one forward at the model's resolution."""
    config, multiple = chain.config, chain.multiple
    side = max(1, round(config.resolution / multiple)) * multiple // chain.autoencoder.factor
    cost = count(config.model, side, side)
    weights = next(chain.network.parameters())
    return {
        "name": name,
        "untrained": untrained(chain),
        "tasks": [task.name for task in config.tasks],
        "inputs": {
            task.name: ["image", *(given.argument for given in task.inputs)]
            for task in config.tasks
            if task.sources
        },
        "parameters": cost.params,
        "active_parameters": cost.active_params,
        "macs": cost.macs,
        "resolution": config.resolution,
        "num_inference_steps": config.steps,
        "ensemble_size": config.members,
        "prediction": config.prediction,
        "autoencoder": dict(config.autoencoder),
        "device": str(device),
        "dtype": str(weights.dtype),
        "weights": fingerprint(chain),
    }
