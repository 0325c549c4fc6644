"""THE legend of axis letters, and the named tensor types of the chain.

    B batch     N members     F fields of a task   S source images of the condition
    c h w latent              C H W image (C = 3)  L tokens    D width    E experts    K top-k
    T denoising steps

Images are float in [-1, 1] inside the chain and uint8 at its ends; depth is in metres along the optical axis (larger =
farther); flow is in pixels of the frame it is given at (channel 0 = u, right; channel 1 = v, down); masks are boolean.
The types are checked at run time in the tests (jaxtyping + beartype) and cost nothing elsewhere.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

HeightWidth = tuple[int, int]  # of an image, pixels
Images = Float[Tensor, "B 3 H W"]
Sources = Float[Tensor, "B S 3 H W"]
Fields = Float[Tensor, "B F 3 H W"]
FieldDraws = Float[Tensor, "N B F 3 H W"]
Latents = Float[Tensor, "B c h w"]
Labels = Int[Tensor, "B"]
Times = Int[Tensor, "B"]
DepthMap = Float[Tensor, "B H W"]
FlowField = Float[Tensor, "B 2 H W"]
Mask = Bool[Tensor, "B H W"]
