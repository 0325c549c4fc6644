"""What a model is: a digest of it, and its figures in words."""

import hashlib
import json

import torch

from lookharder.chain import Chain
from lookharder.config import to_json


def fingerprint(chain: Chain) -> str:
    """A digest of the configuration and of every weight of the network: equal models, equal digests."""
    digest = hashlib.sha256(json.dumps(to_json(chain.config), sort_keys=True).encode())
    for name, weights in sorted(chain.network.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
