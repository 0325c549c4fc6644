"""Pre-training on ImageNet, class by class: the paper's Tables 1 and 2, Figures 2 and 4 (arXiv 2411.08034).

DiT's recipe at every size: 400,000 updates of 256 pictures, learning rate 1e-4. See `recipes.paper` for what is
DiT's default and not the paper's word. A row: GMACs of a forward, FLOPs of the run, hours on one H100 at 40 % of its
dense bf16 peak (an assumption) with latents from a cache, and beside it with pictures encoded every time.
"""

from dataclasses import replace

from lookharder.recipes.paper import GENERATION, PRETRAIN, pictures, system
from lookharder.training.run import RunConfig


def paper_pretrain(
    name: str, size: str, iterations: int = 400_000, resolution: int = 256
) -> RunConfig:
    """A generator of ImageNet's pictures. Data: ImageNet-1K, train, squares of `resolution` pixels.

    recipe                            GMACs     FLOPs    hours  encoding
    paper_table1_a1                   2.827   1.74e18     1.22      20.8
    paper_table1_a2                   13.99    8.6e18     6.03      25.6
    paper_table1_a3                   38.33   2.36e19     16.5      36.1
    paper_table1_a4                    80.7   4.96e19     34.8      54.4
    paper_table1_a5                     209   1.28e20     90.1       110
    paper_table1_a6                   323.8   1.99e20      140       159
    paper_table2_s_8e2a               16.03   9.85e18     6.91      26.5
    paper_table2_s_16e2a              16.04   9.86e18     6.92      26.5
    paper_table2_l_8e2a               222.5   1.37e20     95.9       116
    paper_fig5_pretrain_l_8e2a_512    928.1    5.7e20      400       480
    paper_fig4_pretrain_60k            80.7   7.44e18     5.22      8.16
    paper_fig4_pretrain_80k            80.7   9.92e18     6.96      10.9
    paper_fig4_pretrain_100k           80.7   1.24e19      8.7      13.6
    paper_fig4_pretrain_120k           80.7   1.49e19     10.4      16.3

    Figure 2 gives losses of 0.155 (a1) to 0.144 (a6). Figure 5's L/2-8E2A at 512 pixels follows DiT-MoE, of which the
    paper keeps batch and updates. Balance loss 0.01, as in the code of DiT-MoE. The a4 series of Figure 4 is the run
    of a4, stopped early: the learning rate is constant.
    """
    return RunConfig(
        name=name,
        chain=system(size, resolution=resolution),
        data=pictures(GENERATION, resolution),
        train=replace(PRETRAIN, iterations=iterations),
        checkpoint_every=5_000,
        log_every=100,
    )
