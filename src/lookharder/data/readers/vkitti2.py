"""Virtual KITTI 2: rendered drives through five streets, in ten variations of weather and view.

    SceneSS/VARIATION/frames/rgb/Camera_C/rgb_NNNNN.jpg
                             depth/Camera_C/depth_NNNNN.png          16 bits, centimetres; sky 65535
                             forwardFlow/Camera_C/flow_NNNNN.png     from frame N to N + 1

Flow is stored relative to the frame (see `read_vkitti_flow`); the last frame of a drive has none.
The sky has no depth; Marigold (2312.02145) also leaves out what is farther than 80 m: `far=80`.
Source: Cabon et al., Virtual KITTI 2 (2001.10773).
"""

from pathlib import Path

from lookharder.data.readers.rows import ManifestRow, Rows, list_files
from lookharder.errors import InputError

SKY = 655.35  # metres: 65535 cm
LABELS = ("both", "depth", "flow")


def open_vkitti2(
    root: str | Path,
    labels: str = "both",
    scene: str = "Scene*",
    variation: str = "*",
    camera: int = 0,
    far: float = SKY,
) -> Rows:
    """Frames with depth, flow or both, by scene, variation and number.

    Args:
        root: the folder of the scenes.
        labels: what is read, "depth", "flow" or "both"; frames without it are left out.
        scene: name or pattern of the scenes, e.g. "Scene01".
        variation: likewise, e.g. "clone".
        camera: 0 (left) or 1.
        far: depth is valid below this, metres.

    Raises:
        InputError: nothing there, or a depth map or next frame is missing.
    """
    if labels not in LABELS:
        raise InputError("labels", repr(labels), ", ".join(LABELS))
    if not 0 < far <= SKY:
        raise InputError("far", far, f"a number of metres up to {SKY}, the sky")
    root, rows = Path(root), []
    for image in list_files(root, f"{scene}/{variation}/frames/rgb/Camera_{camera}/rgb_*.jpg"):
        number, frames = image.stem.removeprefix("rgb_"), image.parents[2]
        place = f"Camera_{camera}"
        following = f"{int(number) + 1:05d}" if number.isdecimal() else number
        second = image.with_name(f"rgb_{following}.jpg")
        flow = frames / "forwardFlow" / place / f"flow_{number}.png"
        if labels != "depth" and not second.exists() and not flow.exists():
            continue  # the last frame of a drive
        rows.append(
            ManifestRow(
                name=f"{image.relative_to(root).parts[0]}/{frames.parent.name}/{place}/{number}",
                image=image,
                second=None if labels == "depth" else second,
                depth=None
                if labels == "flow"
                else frames / "depth" / place / f"depth_{number}.png",
                depth_scale=100.0,
                depth_max=far,
                flow=None if labels == "depth" else flow,
                flow_format="vkitti",
            )
        )
    return Rows(rows, root)
