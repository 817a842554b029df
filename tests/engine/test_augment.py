"""Changes of the training images: the promises that hold for every one, and what each does by NumPy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from workbench.engine.augment import Augment, blurred, coloured, moved, rotations
from workbench.specs.augment import AUGMENTATIONS, Augmentation

K = 5
SHAPES = [(8, 1, 28, 28), (8, 3, 32, 32), (6, 3, 7, 13), (3, 1, 4, 4), (1, 3, 5, 5), (4, 2, 9, 6)]
KINDS = sorted(AUGMENTATIONS)
MOVES = ("flip", "shift", "rotate", "scale", "shear")


def op(kind: str, p: float = 1.0, **more: object) -> Augmentation:
    return AUGMENTATIONS[kind](p=p, **more)  # type: ignore[arg-type]


def batch(shape: tuple[int, ...] = SHAPES[0], seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, shape).astype(np.float32) / 255
    return torch.from_numpy(x), torch.from_numpy(rng.integers(0, K, shape[0]))


def done(*ops: Augmentation, x: Tensor, y: Tensor, step: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    return Augment(ops, K, seed)(x, y, step)


# ---------------------------------------------------------------- what holds for every change


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_shape_type_and_range_are_kept(kind: str, shape: tuple[int, ...]) -> None:
    x, y = batch(shape)
    for step in range(10):
        new, labels = done(op(kind), x=x, y=y, step=step)
        assert new.shape == x.shape
        assert new.dtype == x.dtype
        assert torch.isfinite(new).all()
        assert new.min() >= 0
        assert new.max() <= 1
        assert labels.shape == ((shape[0], K) if op(kind).mixes else y.shape)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "flip"])  # a mirror has no strength
def test_the_extreme_strengths_keep_the_range_too(kind: str) -> None:
    x, y = batch((5, 3, 10, 12))
    bounds = AUGMENTATIONS[kind].model_fields["strength"].metadata
    largest = next(m.le for m in bounds if hasattr(m, "le"))
    for strength in (1e-6, largest):
        for step in range(20):
            new, labels = done(op(kind, strength=strength), x=x, y=y, step=step)
            assert torch.isfinite(new).all()
            assert 0 <= new.min() <= new.max() <= 1
            assert labels.dtype == torch.int64 or torch.allclose(labels.sum(1), torch.ones(5), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_with_probability_zero_nothing_changes_by_a_bit(kind: str) -> None:
    x, y = batch()
    new, labels = done(op(kind, p=0.0), x=x, y=y)
    assert torch.equal(new, x)
    assert torch.equal(labels.argmax(1) if op(kind).mixes else labels, y)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_not_drawn_are_untouched_by_a_bit(kind: str) -> None:
    x, y = batch((400, 1, 6, 6))
    new, _ = done(op(kind, p=0.25), x=x, y=y)
    changed = (new != x).any(dim=(1, 2, 3)).float().mean().item()
    # Of 400 draws at 0.25, six standard deviations are 0.13; some draws move nothing (a shift by zero).
    assert 0.02 < changed < 0.25 + 0.13


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_is_not_written_to(kind: str) -> None:
    x, y = batch()
    kept, labels = x.clone(), y.clone()
    done(op(kind), x=x, y=y)
    assert torch.equal(x, kept)
    assert torch.equal(y, labels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_and_step_give_the_same_bits_and_other_steps_others(kind: str) -> None:
    x, y = batch((32, 1, 9, 9))
    first = done(op(kind, p=0.5), x=x, y=y, step=7)
    torch.manual_seed(99)  # torch's own generator has no say
    again = done(op(kind, p=0.5), x=x, y=y, step=7)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], done(op(kind, p=0.5), x=x, y=y, step=8)[0])
    assert not torch.equal(first[0], done(op(kind, p=0.5), x=x, y=y, step=7, seed=1)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_does_not_depend_on_the_steps_before(kind: str) -> None:
    x, y = batch((16, 3, 8, 8))
    augment = Augment([op(kind)], K, 0)
    for step in range(5):
        augment(x, y, step)
    assert torch.equal(augment(x, y, 5)[0], Augment([op(kind)], K, 0)(x, y, 5)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_own_generator_is_left_alone(kind: str) -> None:
    x, y = batch()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    done(op(kind), x=x, y=y)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_change_twice_draws_twice(kind: str) -> None:
    x, y = batch((64, 1, 8, 8))
    one = done(op(kind), x=x, y=y)[0]
    two = done(op("colour", p=0.0), op(kind), x=x, y=y)[0]  # now second in the list
    assert kind == "flip" or not torch.equal(one, two)


@pytest.mark.parametrize("kind", [k for k in KINDS if AUGMENTATIONS[k].mixes])
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_mixed_labels_are_shares_that_sum_to_one(kind: str, p: float) -> None:
    x, y = batch((64, 1, 8, 8))
    _, labels = done(op(kind, p=p), x=x, y=y)
    assert labels.shape == (64, K)
    assert labels.dtype == torch.float32
    assert labels.min() >= 0
    assert torch.allclose(labels.sum(1), torch.ones(64), atol=1e-6)


def test_no_changes_are_no_changes() -> None:
    x, y = batch()
    new, labels = Augment([], K, 0)(x, y, 0)
    assert new is x
    assert labels is y


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    p=st.sampled_from([0.3, 1.0]),
    step=st.integers(0, 10**6),
    shape=st.sampled_from(SHAPES),
)
def test_any_list_of_changes_keeps_the_promises(
    kinds: list[str], p: float, step: int, shape: tuple[int, ...]
) -> None:
    x, y = batch(shape)
    ops = [op(kind, p=p) for kind in kinds]
    new, labels = done(*ops, x=x, y=y, step=step)
    assert new.shape == x.shape
    assert torch.isfinite(new).all()
    assert 0 <= new.min() <= new.max() <= 1
    if any(o.mixes for o in ops):
        assert torch.allclose(labels.sum(1), torch.ones(len(x)), atol=1e-5)
    else:
        assert torch.equal(labels, y)
    assert torch.equal(new, done(*ops, x=x, y=y, step=step)[0])


# ---------------------------------------------------------------- what each does, by another's word


@pytest.mark.parametrize(("axis", "number"), [("horizontal", 3), ("vertical", 2)])
def test_a_flip_is_numpys_flip(axis: str, number: int) -> None:
    x, y = batch((6, 3, 7, 10))
    new, _ = done(op("flip", axis=axis), x=x, y=y)
    assert np.array_equal(new.numpy(), np.flip(x.numpy(), number))


def test_two_flips_are_exact_as_well() -> None:
    x, y = batch((6, 3, 7, 10))
    new, _ = done(op("flip"), op("flip", axis="vertical"), x=x, y=y)
    assert np.array_equal(new.numpy(), x.numpy()[:, :, ::-1, ::-1])


def shifted(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """(C, H, W) moved down and right, its edge drawn out."""
    pad = max(abs(dy), abs(dx))
    wide = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    return wide[:, pad - dy : pad - dy + image.shape[1], pad - dx : pad - dx + image.shape[2]]


def test_a_shift_is_numpys_by_whole_pixels_within_its_strength() -> None:
    x, y = batch((60, 2, 10, 20))
    new, _ = done(op("shift", strength=0.2), x=x, y=y)
    seen = set()
    for old, moved_one in zip(x.numpy(), new.numpy(), strict=True):
        fits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-4, 5)
            if np.abs(shifted(old, dy, dx) - moved_one).max() < 1e-5
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 20  # of 45, in 60 draws
    assert {dy for dy, _ in seen} == {-2, -1, 0, 1, 2}


def test_a_small_shift_of_a_small_image_still_moves_it() -> None:
    x, y = batch((32, 1, 4, 4))
    assert not torch.equal(done(op("shift", strength=0.01), x=x, y=y)[0], x)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("side", [4, 7, 28])
def test_quarter_turns_are_numpys(quarters: int, side: int) -> None:
    x, _ = batch((5, 3, side, side))
    matrices = torch.from_numpy(rotations(np.full(5, 90.0 * quarters))[:, :2].astype(np.float32))
    expected = np.rot90(x.numpy(), quarters, axes=(2, 3))
    new = moved(x, matrices).numpy()
    assert np.abs(new - expected).max() < 1e-5
    assert np.array_equal(np.rint(new * 255), np.rint(expected * 255))  # the same bytes


def test_a_half_turn_of_an_oblong_is_numpys() -> None:
    x, _ = batch((2, 3, 6, 11))
    half = torch.from_numpy(rotations(np.full(2, 180.0))[:, :2].astype(np.float32))
    assert np.abs(moved(x, half).numpy() - x.numpy()[:, :, ::-1, ::-1]).max() < 1e-5


def test_neighbouring_moves_are_one_move_in_their_order() -> None:
    """A shift and then a flip, exactly: each image is its flipped shift, not the shift of its flip."""
    x, y = batch((40, 1, 9, 9))
    shift, flip = op("shift", strength=0.3), op("flip")
    alone = done(shift, x=x, y=y)[0]
    both = done(shift, flip, x=x, y=y)[0]
    assert torch.allclose(both, alone.flip(3), atol=1e-5)
    assert not torch.allclose(both, done(flip, shift, x=x, y=y)[0], atol=1e-3)


def test_moves_together_lose_less_sharpness_than_one_after_the_other() -> None:
    x, y = batch((64, 1, 24, 24))
    turn, grow = op("rotate", strength=20.0), op("scale", strength=0.2)
    together = done(turn, grow, x=x, y=y)[0]
    apart = done(turn, op("colour", p=0.0), grow, x=x, y=y)[0]  # something between, doing nothing

    def detail(z: Tensor) -> float:
        return (z[..., 1:] - z[..., :-1]).square().mean().item()

    assert detail(together) > 1.1 * detail(apart)


def test_scale_zooms_about_the_centre_both_ways() -> None:
    """A disc of 5 pixels radius: its area grows and shrinks with the square of the factor, in bounds."""
    yy, xx = np.mgrid[0:41, 0:41] - 20
    disc = ((yy**2 + xx**2) <= 100).astype(np.float32)
    x = torch.from_numpy(disc).expand(200, 1, 41, 41).contiguous()
    new, _ = done(op("scale", strength=0.3), x=x, y=torch.zeros(200, dtype=torch.int64))
    factor = (new.sum((1, 2, 3)) / disc.sum()).sqrt()
    assert 0.68 < factor.min() < 0.75
    assert 1.25 < factor.max() < 1.32
    rows = torch.arange(41, dtype=torch.float32) - 20
    centre = (new.sum((1, 3)) * rows).sum(1) / new.sum((1, 2, 3))
    assert centre.abs().max() < 0.05


def test_shear_slants_by_at_most_its_angle() -> None:
    """A vertical line stays at its middle row and leans at the edge by at most tan(angle) · distance."""
    line = torch.zeros(200, 1, 21, 41)
    line[:, :, :, 20] = 1.0
    new, _ = done(op("shear", strength=30.0), x=line, y=torch.zeros(200, dtype=torch.int64))
    columns = torch.arange(41, dtype=torch.float32) - 20
    lean = (new[:, 0] * columns).sum(2) / new[:, 0].sum(2)  # (200, 21)
    assert lean[:, 10].abs().max() < 1e-4
    most = math.tan(math.radians(30)) * 10
    assert lean[:, 0].abs().max() <= most + 0.1
    assert lean[:, 0].abs().max() > 0.9 * most
    assert torch.allclose(lean[:, 0], -lean[:, 20], atol=1e-3)


def test_blur_is_scipys_gaussian_up_to_the_border() -> None:
    x, _ = batch((4, 3, 40, 40))
    sigma = torch.tensor([0.5, 1.0, 1.7, 2.5])
    new = blurred(x, sigma, 3.0).numpy()
    for image, old, s in zip(new, x.numpy(), sigma.tolist(), strict=True):
        expected = gaussian_filter(old, (0, s, s), mode="nearest", radius=(0, 9, 9))
        assert np.abs(image - expected).max() < 1e-4


def test_blur_without_width_is_no_blur() -> None:
    x, _ = batch((2, 1, 8, 8))
    assert torch.equal(blurred(x, torch.zeros(2), 1.0), x)


def test_noise_has_its_strength_and_no_bias() -> None:
    x = torch.full((64, 1, 32, 32), 0.5)
    new, _ = done(op("noise", strength=0.05), x=x, y=torch.zeros(64, dtype=torch.int64))
    off = new - x  # 65,536 draws: the mean's standard error is 0.0002, the deviation's 0.00014
    assert abs(off.mean().item()) < 0.001
    assert abs(off.std().item() - 0.05) < 0.001
    neighbours = (off[..., 1:] * off[..., :-1]).mean().item() / 0.05**2
    assert abs(neighbours) < 0.02


def test_brightness_contrast_and_saturation_as_they_are_defined() -> None:
    x, _ = batch((3, 3, 6, 6))
    one = torch.ones(3)
    assert torch.allclose(coloured(x, one * 0.5, one, one), x * 0.5, atol=1e-6)
    grey = coloured(x, one, one, one * 0)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)
    luma = np.einsum("c,bchw->bhw", [0.299, 0.587, 0.114], x.numpy())
    assert np.abs(grey[:, 0].numpy() - luma).max() < 1e-5
    flat = coloured(x, one, one * 0, one)
    assert np.abs(flat.numpy() - luma.mean((1, 2))[:, None, None, None]).max() < 1e-5
    assert torch.allclose(coloured(x, one, one, one), x, atol=1e-6)


def test_cutout_blanks_one_square_with_the_images_mean() -> None:
    x, y = batch((100, 3, 20, 20))
    new, _ = done(op("cutout", strength=0.3), x=x, y=y)
    hidden = (new != x).any(1)  # (100, 20, 20)
    sizes = set()
    for where, old, image in zip(hidden.numpy(), x.numpy(), new.numpy(), strict=True):
        rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
        tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert tall <= 6
        assert wide <= 6
        box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.abs(box - old.mean((1, 2))[:, None, None]).max() < 1e-5
        sizes.add((tall, wide))
    assert (6, 6) in sizes  # whole squares, and some cut off at the border
    assert len(sizes) > 1


def test_mixup_blends_images_as_it_blends_labels() -> None:
    """One class per image, each image one constant value: the value is the label's mean."""
    y = torch.arange(K).repeat(20)
    x = (y.float() / 10).view(-1, 1, 1, 1).expand(-1, 1, 3, 3).contiguous()
    new, labels = done(op("mixup", strength=1.0), x=x, y=y)
    expected = labels @ (torch.arange(K).float() / 10)
    assert torch.allclose(new[:, 0, 0, 0], expected, atol=1e-6)
    assert (labels.max(1).values < 0.99).float().mean() > 0.5


def test_cutmix_shares_labels_by_the_pixels_pasted() -> None:
    y = torch.arange(K).repeat(20)
    x = (y.float() / 10).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    new, labels = done(op("cutmix"), x=x, y=y)
    for k in range(K):
        share = (new[:, 0] == x[k, 0, 0, 0]).float().mean((1, 2))
        assert torch.allclose(share, labels[:, k], atol=1e-6)
    assert (labels.max(1).values < 0.99).float().mean() > 0.5


def test_mixing_follows_the_published_beta_distribution() -> None:
    """Zhang 2018: the blend is Beta(alpha, alpha); its mean is 1/2 and its variance 1 / (4 (2 alpha + 1))."""
    n, alpha = 4000, 0.4
    x, y = torch.rand(n, 1, 1, 1), torch.zeros(n, dtype=torch.int64)
    y[n // 2 :] = 1
    _, labels = Augment([op("mixup", strength=alpha)], 2, 0)(x, y, 0)
    own = labels.gather(1, y.view(-1, 1))[:, 0]
    drawn = own[own < 1]  # where the partner has another class, the label shows the blend
    assert len(drawn) > 1500
    assert abs(drawn.mean().item() - 0.5) < 0.05
    assert abs(drawn.var().item() - 1 / (4 * (2 * alpha + 1))) < 0.02


@pytest.mark.parametrize("kind", MOVES)
def test_beyond_the_border_lies_the_edge(kind: str) -> None:
    """A constant image stays constant: no black corners come in."""
    x = torch.full((50, 1, 12, 12), 0.7)
    new, _ = done(op(kind), x=x, y=torch.zeros(50, dtype=torch.int64))
    assert torch.allclose(new, x, atol=1e-6)


def test_draws_of_neighbouring_steps_are_unrelated() -> None:
    """Which images are changed: the share changed at both of two steps is the product of the shares."""
    x, y = batch((1000, 1, 4, 4))
    changed = [
        (done(op("flip"), x=x, y=y, step=0)[0] != x).any(dim=(1, 2, 3)),
        *[(done(op("flip", p=0.5), x=x, y=y, step=s)[0] != x).any(dim=(1, 2, 3)) for s in range(6)],
    ]
    assert changed[0].all()
    for a, b in pairwise(changed[1:]):
        assert abs((a & b).float().mean().item() - 0.25) < 0.06  # four standard errors
