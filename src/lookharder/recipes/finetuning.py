"""Fine-tuning for perception: the paper's Figures 3 to 6 and 10, Tables 3 to 5 and its generalist (arXiv 2411.08034).

A stage starts from the model folder of another, `init`: its weights are brought to the stage's own system by
`models.transfer`, which widens the input and gives each task the mean label of its share of the classes. Depth alone
sees the picture and the noisy target, its weights x 1/2 (section 4 of the text); flow, amodal and the generalist see a
second source, x 1/3, as in the release. Tables as in `recipes.pretraining`.
"""

from dataclasses import replace

from lookharder.diffusion.schedule import ScheduleName
from lookharder.recipes.paper import (
    AMODAL,
    DEPTH,
    FINAL,
    FINETUNE,
    FLOW,
    GENERALIST,
    pictures,
    system,
)
from lookharder.tasks.base import Task
from lookharder.training.config import TrainConfig
from lookharder.training.run import RunConfig

ROUTES = (0, 1, 2, 3)  # of the release: depth, amodal, both fields of flow


def paper_depth(
    name: str,
    size: str,
    init: str,
    schedule: ScheduleName = "scaled-linear",
    resolution: int = 256,
    iterations: int = 30_000,
) -> RunConfig:
    """Depth alone, learning rate 3e-5 to 3e-7. Data: Hypersim, train, Marigold's list, squares of `resolution` pixels.

    recipe                       GMACs     FLOPs    hours  encoding
    paper_fig3_a1                2.828   1.63e16   0.0114     0.379
    paper_fig3_a2                13.99   8.06e16   0.0566     0.424
    paper_fig3_a3                38.34   2.21e17    0.155     0.523
    paper_fig3_a4                 80.7   4.65e17    0.326     0.694
    paper_fig3_a5                  209    1.2e18    0.845      1.21
    paper_fig3_a6                323.9   1.87e18     1.31      1.68
    paper_fig4_60k                80.7   4.65e17    0.326     0.694
    paper_fig4_80k                80.7   4.65e17    0.326     0.694
    paper_fig4_100k               80.7   4.65e17    0.326     0.694
    paper_fig4_120k               80.7   4.65e17    0.326     0.694
    paper_fig5_xl_256            118.6   6.83e17     0.48     0.847
    paper_fig5_l_8e2a_256        222.5   1.28e18    0.899      1.27
    paper_fig5_xl_512            524.6   3.02e18     2.12      3.63
    paper_fig5_l_8e2a_512        928.1   5.35e18     3.75      5.26
    paper_fig6_a2_8e2a            22.6   6.51e16   0.0457     0.229
    paper_fig6_a3_8e2a           62.53    1.8e17    0.126      0.31
    paper_fig6_a4_8e2a           132.3   3.81e17    0.267     0.451
    paper_fig10_linear            80.7   4.65e17    0.326     0.694
    paper_fig10_scaled_linear     80.7   4.65e17    0.326     0.694
    paper_fig10_cosine            80.7   4.65e17    0.326     0.694

    The schedule of all but Figure 10 is not said: a4 has AbsRel .224 in Figure 3 and with scaled-linear in Figure 10,
    which is Marigold's. Read off Figure 3: AbsRel .426, .324, .276, .224, .196, .195 for a1 to a6; off Figure 10:
    .224 scaled-linear, .215 linear, .21 cosine. Figure 6 upcycles a fine-tuned model and goes on for 15,000 updates,
    which begin again at 3e-5, as is not said; of its counts of experts only 8E2A is known.
    """
    train = replace(FINETUNE, iterations=iterations)
    return _stage(name, size, init, DEPTH, schedule, resolution, train)


def paper_final(
    name: str, init: str, task: tuple[Task, ...], iterations: int, batch: int, resolution: int
) -> RunConfig:
    """DiT-XL/2 for one task, 1.2e-4 to 1.2e-6, cosine schedule. Data: Hypersim, FlyingChairs or pix2gestalt, train.

    recipe                 GMACs     FLOPs    hours  encoding
    paper_table3_depth     524.6   9.67e19     67.9       116
    paper_table4_flow      524.6   2.58e20      181       309
    paper_table5_amodal    118.6   1.75e19     12.3      26.4

    It starts from DiT's published weights: `lookharder convert DiT-XL-2-512x512.pt --out models/dit-xl-2-512`. To
    reach: Hypersim AbsRel 13.6 %, ETH3D 4.8 % with 200 steps and 5 draws; FlyingChairs 3.08 pixels, probably after a
    fit to the truth; COCO-A 82.9 % mIoU. The schedule of flow and amodal is that of depth, "a similar configuration".
    """
    train = replace(FINAL, iterations=iterations, batch_size=batch, mix={task[0].name: 1.0})
    config = _stage(name, "XL", init, task, "cosine", resolution, train)
    return replace(config, chain=replace(config.chain, steps=200))


def paper_all(name: str, size: str, init: str, iterations: int) -> RunConfig:
    """All three tasks in one DiT-XL/2 at 512 pixels, 1.2e-4 to 1.2e-6. Data: the three train sets of `paper_final`.

    recipe                   GMACs     FLOPs    hours  encoding
    paper_generalist         524.6   1.29e20     90.5       171
    paper_generalist_8e2a    829.2   2.72e19     19.1      29.8

    Shares of the tasks, batch and length of the dense run are not said: equal shares, and depth's batch of 1024 and
    30,000 updates. Experts get 4,000 more, which begin again at 1.2e-4.
    """
    mix: dict[str, float] = {task.name: 1.0 for task in GENERALIST}
    train = replace(FINAL, iterations=iterations, mix=mix)
    config = _stage(name, size, init, GENERALIST, "cosine", 512, train)
    model = replace(config.chain.model, routes=ROUTES)
    return replace(config, chain=replace(config.chain, model=model))


def _stage(
    name: str,
    size: str,
    init: str,
    tasks: tuple[Task, ...],
    schedule: ScheduleName,
    resolution: int,
    train: TrainConfig,
) -> RunConfig:
    return RunConfig(
        name=name,
        init=init,
        surgery=True,
        chain=system(size, tasks, schedule, resolution),
        data=pictures(tasks, resolution),
        train=train,
        checkpoint_every=1_000,
        log_every=50,
    )


FINALS = {"depth": DEPTH, "flow": FLOW, "amodal": AMODAL}
