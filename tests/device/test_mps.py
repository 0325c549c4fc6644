"""A prediction on a device without float64, as MPS is, makes no tensor of it there."""

import numpy as np
import pytest
from tests.device.test_placement import BESIDE, IMAGE

from lookharder.chain import Chain
from lookharder.predict.predictor import Predictor


@pytest.mark.parametrize("task", BESIDE)
def test_no_float64_arises(mps, random_model, task):
    asked = {"task": task, "num_inference_steps": 2, "ensemble_size": 3, **BESIDE[task]}
    asked["output_uncertainty"] = True
    host = Predictor(Chain.load(random_model))(IMAGE, **asked)
    there = Predictor(Chain.load(random_model), "mps")(IMAGE, **asked)
    assert np.allclose(host.prediction, there.prediction, atol=1e-4)
    assert np.allclose(host.uncertainty, there.uncertainty, atol=1e-4)
