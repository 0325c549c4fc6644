"""Benchmarks in miniature, laid out as published: scores under their cards are those of numpy, computed here."""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.places import within

from lookharder.cli import main
from lookharder.data import formats
from lookharder.data.readers.specs import open_data

RNG = np.random.default_rng(17)
SIDES = (16, 20)


def picture(path: Path, sides: tuple[int, int] = SIDES, plain: bool = False) -> Path:
    pixels = np.full((*sides, 3), 90, np.uint8) if plain else RNG.integers(0, 256, (*sides, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(within(path))
    return path


def score(tmp_path: Path, protocol: str, spec: str, answers: dict[str, np.ndarray]) -> Any:
    """What `evaluate` says of answers under a card."""
    for name, answer in answers.items():
        formats.write_npy(within(tmp_path / "theirs" / f"{name}.npy"), answer)
    out = tmp_path / f"{protocol}.json"
    line = ["evaluate", "--protocol", protocol, "--data", spec, "--out", str(out)]
    assert main([*line, "--predictions", str(tmp_path / "theirs")]) == 0
    return json.loads(out.read_text())


def fitted(
    answer: np.ndarray, depth: np.ndarray, mask: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """AbsRel and delta1 of Marigold's protocol for one picture."""
    p, t = answer[mask].astype(np.float64), depth[mask].astype(np.float64)
    scale, shift = np.polyfit(p, t, 1)
    return errors(scale * p + shift, t, low, high)


def errors(aligned: np.ndarray, t: np.ndarray, low: float, high: float) -> tuple[float, float]:
    p = np.clip(aligned, low, high)
    return float(np.mean(np.abs(p - t) / t)), float(np.mean(np.maximum(p / t, t / p) < 1.25))


def is_scored(found: Any, expected: list[tuple[float, ...]], *names: str) -> None:
    for name, value in zip(names, np.mean(expected, axis=0), strict=True):
        assert found["means"][name]["mean"] == pytest.approx(value, rel=1e-6), name


DEPTH = ("abs_rel", "delta1")


def test_diode_is_scored_by_its_own_mask_indoors_and_outdoor_apart(tmp_path: Path):
    answers, expected = {}, {}
    for part, far in (("indoors", 8.0), ("outdoor", 400.0)):
        stem = f"{part}/scene_00021/scan_00189/00021_00189_{part}_200_010"
        path = picture(tmp_path / "val" / f"{stem}.png")
        depth = RNG.uniform(0.3, far, (*SIDES, 1)).astype(np.float32)
        mask = (RNG.random(SIDES) < 0.7).astype(np.float32)
        np.save(path.with_name(f"{path.stem}_depth.npy"), depth)
        np.save(path.with_name(f"{path.stem}_depth_mask.npy"), mask)
        answers[stem] = (0.1 * depth[..., 0] + RNG.normal(0, 0.2, SIDES)).astype(np.float32)
        expected[part] = fitted(answers[stem], depth[..., 0], mask > 0, 0.6, 350.0)
    spec = f"diode:{tmp_path}"
    is_scored(score(tmp_path, "diode", spec, answers), list(expected.values()), *DEPTH)
    for part, value in expected.items():
        found = score(tmp_path, f"diode-{part}", spec, {})
        assert len(found["rows"]) == 1 and found["data"] == f"{spec}?part={part}"
        is_scored(found, [value], *DEPTH)


def test_a_card_is_not_contradicted_by_an_option_of_its_reader(tmp_path: Path, capsys):
    line = f"evaluate --protocol diode --data diode:{tmp_path}?part=indoors --out {tmp_path}/s.json"
    assert main(line.split()) == 2
    assert "allowed: part=all, of protocol diode" in capsys.readouterr().err


def test_eth3d_is_fitted_at_1024_pixels_and_scored_at_all(tmp_path: Path):
    sides = (12, 1500)
    picture(tmp_path / "rgb/office/images/dslr_images/DSC_0219.JPG", sides)
    depth = RNG.uniform(1, 30, sides).astype("<f4")
    depth[RNG.random(sides) < 0.5] = np.inf
    folder = tmp_path / "depth/office_dslr_depth/office/ground_truth_depth/dslr_images"
    folder.mkdir(parents=True)
    (folder / "DSC_0219.JPG").write_bytes(depth.tobytes())
    mask = np.isfinite(depth)
    answer = np.where(mask, depth, 5) + RNG.normal(0, 3, sides)
    factor = 1024 / 1500
    rows, columns = ((np.arange(int(n * factor)) / factor).astype(int) for n in sides)
    few = np.ix_(rows, columns)
    scale, shift = np.polyfit(answer[few][mask[few]], depth[few][mask[few]], 1)
    expected = errors(scale * answer[mask] + shift, depth[mask].astype(np.float64), 1e-5, np.inf)
    found = score(tmp_path, "eth3d", f"eth3d:{tmp_path}", {"office/DSC_0219": answer})
    is_scored(found, [expected], *DEPTH)
    assert fitted(answer, depth, mask, 1e-5, np.inf)[0] != pytest.approx(expected[0], rel=1e-6)


def test_scannet_with_and_without_a_list(tmp_path: Path):
    answers, expected = {}, {}
    for number in ("000300", "000400"):
        picture(tmp_path / f"scene0406_02/color/{number}.jpg")
        depth = RNG.integers(0, 14_000, SIDES).astype(np.uint16)
        path = tmp_path / f"scene0406_02/depth/{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(depth).save(path)
        metres, name = depth / 1000, f"scene0406_02/{number}"
        answers[name] = metres + RNG.normal(0, 1, SIDES)
        mask = (metres > 1e-3) & (metres < 10)
        expected[name] = fitted(answers[name], metres, mask, 1e-3, 10.0)
    spec = f"scannet:{tmp_path}"
    is_scored(score(tmp_path, "scannet", spec, answers), list(expected.values()), *DEPTH)
    line = "scene0406_02/color/000400.jpg scene0406_02/depth/000400.png"
    (tmp_path / "list.txt").write_text(f"{line}\n")
    found = score(tmp_path, "scannet", f"{spec}?list=list.txt", {})
    is_scored(found, [expected["scene0406_02/000400"]], *DEPTH)


def test_kitti_is_cut_to_its_benchmark_and_masked(tmp_path: Path):
    sides, drive = (360, 1231), "2011_09_26_drive_0002_sync"
    name = f"2011_09_26/{drive}/image_02/data/0000000069"
    picture(tmp_path / f"{name}.png", sides, plain=True)
    stored = np.zeros(sides, np.uint16)
    stored[RNG.random(sides) < 0.05] = 5000
    stored[stored > 0] += RNG.integers(0, 20_000, (stored > 0).sum()).astype(np.uint16)
    truth = f"{drive}/proj_depth/groundtruth/image_02/0000000069.png"
    (tmp_path / truth).parent.mkdir(parents=True)
    Image.fromarray(stored).save(tmp_path / truth)
    depth = (stored / 256)[8:360, 7 : 7 + 1216]
    answer = depth + RNG.normal(0, 4, depth.shape)
    (tmp_path / "list.txt").write_text(f"{name}.png {truth} 721.5377\n{name}.png None 721.5377\n")
    for mask, (top, bottom, left, right), spec in (
        ("eigen", (117, 321, 43, 1172), f"kitti_eigen:{tmp_path}"),
        ("garg", (143, 349, 43, 1172), f"kitti_eigen:{tmp_path}?list=list.txt"),
    ):
        valid = np.zeros(depth.shape, bool)
        valid[top:bottom, left:right] = True
        valid &= (depth > 1e-5) & (depth < 80)
        expected = fitted(answer, depth, valid, 1e-5, 80.0)
        found = score(tmp_path, f"kitti-{mask}", spec, {name: answer})
        assert len(found["rows"]) == 1
        is_scored(found, [expected], *DEPTH)


def test_nyuv2_as_published_as_folders_and_as_a_tar(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    metres = np.zeros((3, 480, 640), np.float32)
    metres[:, 40:480:8, 30:640:8] = RNG.uniform(0.5, 12, (3, 55, 77))
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.full((3, 3, 640, 480), 90, np.uint8)  # columns first
        file["rawDepths"] = metres.transpose(0, 2, 1)
    splits = {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1], [3]])}
    savemat(tmp_path / "splits.mat", splits)
    inside = np.zeros((480, 640), bool)
    inside[45:471, 41:601] = True
    answers, expected = {}, []
    for index in (1, 3):
        depth = np.round(metres[index - 1] * 1000) / 1000
        answer = depth + RNG.normal(0, 1, depth.shape)
        mask = inside & (depth > 1e-3) & (depth < 10)
        expected.append(fitted(answer, depth, mask, 1e-3, 10.0))
        answers |= {f"{index:05d}": answer, f"test/kitchen_0004/{index:04d}": answer}
        place = tmp_path / "folders/test/kitchen_0004"
        picture(place / f"rgb_{index:04d}.png", (480, 640), plain=True)
        formats.write_depth_png(within(place / f"depth_{index:04d}.png"), depth)
    with tarfile.open(tmp_path / "nyu.tar", "w") as tar:
        tar.add(tmp_path / "folders/test", "./test")
    for spec in ("folders", "nyu.tar"):
        found = score(tmp_path, "nyuv2", f"nyuv2:{tmp_path}/{spec}", answers)
        assert [row["name"] for row in found["rows"]] == list(answers)[1::2]
        is_scored(found, expected, *DEPTH)
    labelled = open_data(f"nyuv2:{tmp_path}/nyu_depth_v2_labeled.mat")
    assert [labelled[i].name for i in range(len(labelled))] == ["00001", "00003"]
    assert np.array_equal(labelled[1].depth, metres[2]) and not labelled[1].depth_valid[:45].any()
    assert len(open_data(f"nyuv2:{tmp_path}/nyu_depth_v2_labeled.mat?split=train")) == 1


def pair(folder: Path, first: str, second: str) -> None:
    for name in (first, second):
        picture(folder / name)


def epe(answer: np.ndarray, flow: np.ndarray) -> np.ndarray:
    return np.hypot(*(answer.astype(np.float64) - flow))


def test_sintel_all_matched_and_unmatched_pixels_pooled(tmp_path: Path):
    root, answers, gaps, hidden = tmp_path / "training", {}, [], []
    for number in (1, 2):
        name = f"alley_1/frame_{number:04d}"
        for rendering in ("clean", "final"):
            pair(root / rendering, f"{name}.png", f"alley_1/frame_{number + 1:04d}.png")
        flow = RNG.normal(0, 5, (2, *SIDES)).astype(np.float32)
        formats.write_flo(within(root / "flow" / f"{name}.flo"), flow)
        occluded = RNG.random(SIDES) < 0.2 * number
        formats.write_mask(within(root / "occlusions" / f"{name}.png"), occluded)
        answers[name] = flow + RNG.normal(0, number, flow.shape).astype(np.float32)
        gaps.append(epe(answers[name], flow))
        hidden.append(occluded)
    gap, mask = np.stack(gaps), np.stack(hidden)
    expected = [(gap.mean(), gap[~mask].mean(), gap[mask].mean(), (gap < 1).mean())]
    for rendering in ("clean", "final"):
        found = score(tmp_path, f"sintel-{rendering}", f"sintel:{tmp_path}", answers)
        is_scored(found, expected, "epe", "epe_matched", "epe_unmatched", "px1")


def test_kitti_flow_is_averaged_over_pictures_and_its_outliers_over_pixels(tmp_path: Path):
    root, answers, epes, outliers = tmp_path / "training", {}, [], []
    for number, share in ((0, 0.2), (1, 0.6)):
        pair(root / "image_2", f"{number:06d}_10.png", f"{number:06d}_11.png")
        flow = np.round(RNG.normal(0, 20, (2, *SIDES)) * 64) / 64
        valid = RNG.random(SIDES) < share
        formats.write_kitti_flow(within(root / "flow_occ" / f"{number:06d}_10.png"), flow, valid)
        answers[f"{number:06d}"] = flow + RNG.normal(0, 2 + 2 * number, flow.shape)
        gap = epe(answers[f"{number:06d}"], flow)[valid]
        epes.append(gap.mean())
        outliers.append((gap > 3) & (gap > 0.05 * np.hypot(*flow)[valid]))
    found = score(tmp_path, "kitti-2015-flow", f"kitti_flow:{tmp_path}", answers)
    is_scored(found, [(np.mean(epes), 100 * np.concatenate(outliers).mean())], "epe", "fl_all")


def test_flying_chairs_pooled_with_the_fitted_error_beside(tmp_path: Path):
    answers, gaps, fits = {}, [], []
    for number in (1, 2):
        pair(tmp_path / "data", f"{number:05d}_img1.ppm", f"{number:05d}_img2.ppm")
        flow = RNG.normal(0, 8, (2, *SIDES)).astype(np.float32)
        formats.write_flo(within(tmp_path / "data" / f"{number:05d}_flow.flo"), flow)
        answer = answers[f"{number:05d}"] = 0.5 * flow + RNG.normal(1, 1, flow.shape)
        gaps.append(epe(answer, flow))
        lines = [np.polyfit(p.ravel(), t.ravel(), 1) for p, t in zip(answer, flow, strict=True)]
        fits.append(
            epe(np.stack([a * p + b for (a, b), p in zip(lines, answer, strict=True)]), flow)
        )
    (tmp_path / "FlyingChairs_train_val.txt").write_text("2\n2\n")
    found = score(tmp_path, "flying-chairs", f"flying_chairs:{tmp_path}", answers)
    is_scored(found, [(np.mean(gaps), np.mean(fits))], "epe", "epe_fitted")


def test_spring_and_middlebury(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    frames = tmp_path / "spring/train/0001/frame_left"
    pair(frames, "frame_left_0001.png", "frame_left_0002.png")
    large = RNG.normal(0, 4, (2 * SIDES[0], 2 * SIDES[1], 2)).astype(np.float32)
    large[:4] = np.nan
    path = frames.parent / "flow_FW_left/flow_FW_left_0001.flo5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["flow"] = large
    flow = np.moveaxis(large[::2, ::2], -1, 0)
    answer = np.nan_to_num(flow) + RNG.normal(0, 1, flow.shape)
    expected = np.nanmean(epe(answer, flow))
    spec = f"spring:{tmp_path}/spring"
    is_scored(score(tmp_path, "spring", spec, {"0001/0001": answer}), [(expected,)], "epe")
    pair(tmp_path / "other-data/RubberWhale", "frame10.png", "frame11.png")
    flow = flow[:, 2:] * 1
    flow = np.concatenate([flow, np.full((2, 2, SIDES[1]), 1e10, np.float32)], 1)  # not known
    formats.write_flo(within(tmp_path / "other-gt-flow/RubberWhale/flow10.flo"), flow)
    gap = epe(answer, flow)[:-2].mean()
    found = score(tmp_path, "middlebury", f"middlebury_flow:{tmp_path}", {"RubberWhale": answer})
    is_scored(found, [(gap,)], "epe")


def runs(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths, down the columns."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    ends = np.flatnonzero(np.diff(flat.astype(int)))
    counts, text = np.diff([0, *ends, mask.size]).tolist(), ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            group, value = value & 31, value >> 5
            done = value == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return {"size": list(mask.shape), "counts": text}


def outline(top: int, left: int, bottom: int, right: int) -> list[int]:
    """Around the pixels of `square`: their centres lie inside."""
    return [left, top, right, top, right, bottom, left, bottom]


def square(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIDES, bool)
    mask[top:bottom, left:right] = True
    return mask


def regions() -> tuple[list[dict[str, Any]], list[np.ndarray], list[np.ndarray]]:
    """One object in full view, and one of which a quarter is hidden: as annotated, visible, whole."""
    front, back, seen = square(2, 2, 8, 8), square(4, 4, 12, 16), square(4, 7, 12, 16)
    said = [
        {"segmentation": outline(2, 2, 8, 8), "order": 1, "occlude_rate": 0.0, "isStuff": 0},
        {
            "segmentation": outline(4, 4, 12, 16),
            "order": 2,
            "occlude_rate": 0.25,
            "isStuff": 0,
            "visible_mask": runs(seen),
            "invisible_mask": runs(back & ~seen),
        },
    ]
    return said, [front, seen], [front, back]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    ("protocol", "listing", "place"),
    [
        ("coco-amodal", "annotations/COCO_amodal_val2014.json", "val2014/COCO_val2014_0001.jpg"),
        ("bsds-amodal", "BSDS_amodal_val.json", "BSDS500/data/images/val/100007.jpg"),
    ],
)
def test_amodal_sets_of_one_published_file(tmp_path: Path, protocol: str, listing: str, place: str):
    path, (said, visible, whole) = picture(tmp_path / "set" / place), regions()
    images = [{"id": 7, "file_name": path.name, "height": SIDES[0], "width": SIDES[1]}]
    annotations = [{"id": 1, "image_id": 7, "regions": said, "depth_constraint": "1-2"}]
    (tmp_path / "set" / listing).parent.mkdir(exist_ok=True)
    content = json.dumps({"images": images, "annotations": annotations})
    (tmp_path / "set" / listing).write_text(content)
    answer = square(4, 5, 12, 17)
    answers = {f"{path.stem}/1": whole[0], f"{path.stem}/2": answer}
    spec = f"{protocol.replace('-', '_')}:{tmp_path}/set"
    found = score(tmp_path, protocol, spec, answers)
    means, unseen = {k: v["mean"] for k, v in found["means"].items()}, ~visible[1]
    assert means["iou"] == pytest.approx((1 + iou(answer, whole[1])) / 2)
    assert means["iou_occluded"] == means["iou_hidden_10_30"]
    assert means["iou_occluded"] == pytest.approx(iou(answer, whole[1]))
    assert means["iou_invisible"] == pytest.approx(iou(answer & unseen, whole[1] & unseen))
    assert means["iou_visible"] == pytest.approx(iou(answer & visible[1], visible[1]))
    assert means["trivial.visible.iou_occluded"] == pytest.approx(0.75)
    assert "iou_hidden_0_10" not in means


def test_mp3d_gives_the_run_lengths_of_the_whole(tmp_path: Path):
    path = picture(tmp_path / "set/images/scene_0001.jpg")
    whole, seen = square(4, 4, 12, 16), square(4, 8, 12, 16)
    region = {"segmentation": runs(whole), "visible_mask": runs(seen), "category_id": 3}
    image = {"id": "a", "file_name": f"x/{path.name}", "height": SIDES[0], "width": SIDES[1]}
    said = {"images": [image], "annotations": [{"regions": [region]}]}
    (tmp_path / "set/mp3d_eval.json").write_text(json.dumps(said))
    answers = {"scene_0001/1": square(4, 6, 12, 16)}
    found = score(tmp_path, "mp3d-amodal", f"mp3d_amodal:{tmp_path}/set", answers)
    is_scored(found, [(80 / 96, 0.5, 80 / 96)], "iou", "iou_invisible", "iou_hidden_30_50")


def test_pix2gestalt_is_judged_on_the_last_hundredth_of_its_sorted_paths(tmp_path: Path):
    names = sorted(f"{i}_{'ab'[i % 2]}" for i in range(102))  # as text, not as numbers
    for name in names:
        picture(tmp_path / f"set/occlusion/{name}_occlusion.png", plain=True)
    whole, seen = square(4, 4, 12, 16), square(4, 10, 12, 16)
    for name in names[100:]:
        for folder, mask in (("visible_object_mask", seen), ("whole_mask", whole)):
            kind = "visible_mask" if mask is seen else "whole_mask"
            formats.write_mask(within(tmp_path / f"set/{folder}/{name}_{kind}.png"), mask)
        picture(tmp_path / f"set/whole/{name}_whole.png", plain=True)
    found = score(
        tmp_path, "pix2gestalt", f"pix2gestalt:{tmp_path}/set", dict.fromkeys(names, seen)
    )
    assert [row["name"] for row in found["rows"]] == names[100:]
    is_scored(found, [(0.5, 0.0, 1.0)], "iou", "iou_invisible", "iou_visible")
    assert len(open_data(f"pix2gestalt:{tmp_path}/set?split=train")) == 100


def test_disparity_is_fitted_as_disparity(tmp_path: Path):
    picture(tmp_path / "scene0001_00/color/000001.jpg")
    depth = RNG.integers(500, 9000, SIDES).astype(np.uint16)
    (tmp_path / "scene0001_00/depth").mkdir()
    Image.fromarray(depth).save(tmp_path / "scene0001_00/depth/000001.png")
    metres = depth / 1000
    answer = 7 / metres + 3 + RNG.normal(0, 0.1, SIDES)
    formats.write_npy(within(tmp_path / "theirs/scene0001_00/000001.npy"), answer)
    line = ["evaluate", "--protocol", "scannet", "--set", "rules.depth_space=disparity"]
    line += ["--data", f"scannet:{tmp_path}", "--predictions", str(tmp_path / "theirs")]
    assert main([*line, "--out", str(tmp_path / "s.json")]) == 0
    scale, shift = np.polyfit(answer.ravel(), 1 / metres.ravel(), 1)
    aligned = 1 / np.clip(scale * answer + shift, 1 / 10, 1 / 1e-3)
    found = json.loads((tmp_path / "s.json").read_text())
    is_scored(found, [errors(aligned, metres, 1e-3, 10.0)], *DEPTH)
