"""The noise process: how latents are noised, denoised, learned from and sampled.

    schedule    x_t = alpha x0 + sigma eps, and at which times to look
    denoiser    what a network's output means
    loss        what to minimise
    steps       how to get from one time to the next: DDIM, DDPM, DPM-Solver++(2M), Euler, Heun
    sampler     the one loop over them

It never imports a network: it is given a callable, so that an exact denoiser can stand in.
"""
