"""SAM's architecture with random weights against segment-anything's own code."""

from functools import partial

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as StockSam
from torch import nn

from protoseg.engine.feature_cache import FeatureCache
from protoseg.errors import InputError
from protoseg.sam.encoder import FastImageEncoder
from protoseg.sam.model import Sam, load_sam
from protoseg.sam.prompts import Prompt

SIZE = 160  # 10 x 10 tokens: windows of 4 need padding


def stock_sam(seed=0, window=4):
    """SAM with few blocks and small images; everything random, relative positions too."""
    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=SIZE,
        embed_dim=48,
        depth=3,
        num_heads=3,
        out_chans=64,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=(1,),
    )
    grid = (SIZE // 16, SIZE // 16)
    prompts = PromptEncoder(embed_dim=64, image_embedding_size=grid, input_image_size=(SIZE, SIZE), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=64, mlp_dim=128, num_heads=4)
    sam = StockSam(encoder, prompts, MaskDecoder(transformer_dim=64, transformer=transformer))
    for name, parameter in sam.named_parameters():
        if "pos" in name:
            nn.init.normal_(parameter, std=0.5)
    return sam.eval().requires_grad_(False)


def picture(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(scope="module")
def sam():
    return Sam(stock_sam())


IN_STEPS = pytest.mark.parametrize("step_bytes", [1, 10_000, 2**23])  # few query rows at a time, some, all at once


@IN_STEPS
def test_the_encoder_equals_stock(step_bytes, monkeypatch):
    monkeypatch.setattr("protoseg.ops.chunking.STEP_BYTES", step_bytes)
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    expected = stock_sam().image_encoder(images)
    with torch.no_grad():
        fast = FastImageEncoder(stock_sam().image_encoder)(images)
    torch.testing.assert_close(fast, expected, rtol=0, atol=1e-4)
    assert expected.std() > 0.5


@torch.no_grad()
def test_the_encoder_equals_stock_at_sams_own_size():
    """64 x 64 tokens and windows of 14, as in ViT-B, but narrower and of two blocks."""

    def narrow():
        torch.manual_seed(0)
        encoder = ImageEncoderViT(
            embed_dim=128,
            depth=2,
            num_heads=4,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=(1,),
        )
        for name, parameter in encoder.named_parameters():
            if "pos" in name:
                nn.init.normal_(parameter, std=0.5)
        return encoder

    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(FastImageEncoder(narrow())(image), narrow()(image), rtol=0, atol=1e-4)


@pytest.mark.parametrize("window", [4, 3])  # 16 keys, and 9 to which some are added
@IN_STEPS
@torch.no_grad()
def test_the_encoder_in_bfloat16_is_close_to_float32(step_bytes, window, monkeypatch):
    monkeypatch.setattr("protoseg.ops.chunking.STEP_BYTES", step_bytes)
    image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    expected = stock_sam(window=window).image_encoder(image)
    fast = FastImageEncoder(stock_sam(window=window).image_encoder, precision="bfloat16")(image)
    assert fast.dtype == torch.float32
    assert (fast - expected).abs().mean() < 0.02 * expected.std()


PROMPTS = {
    "a point": Prompt(positive=np.array([[30.0, 20.0]])),
    "points": Prompt(positive=np.array([[30.0, 20.0], [41.5, 7.0]]), negative=np.array([[3.0, 3.0]])),
    "a box": Prompt(box=np.array([10, 12, 40, 33])),
    "all": Prompt(
        box=np.array([10, 12, 40, 33]),
        positive=np.array([[30.0, 20.0]]),
        negative=np.array([[5.0, 50.0]]),
        mask=torch.randn(SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(3)),
    ),
}


@pytest.mark.parametrize("shape", [(64, 90), (90, 64), (80, 80)])
@torch.no_grad()
def test_masks_equal_the_predictors_one_prompt_or_many(sam, shape):
    image = picture(*shape)
    predictor = SamPredictor(stock_sam())
    predictor.set_image(image.permute(1, 2, 0).numpy())
    frame = sam.frame(*shape)
    embedding = sam.encoder.encode_alike(image[None])[0]
    together, qualities = sam.decode(embedding, list(PROMPTS.values()), frame)
    for prompt, logits, quality in zip(PROMPTS.values(), together, qualities):
        points = np.concatenate([prompt.positive, prompt.negative])
        arguments = {
            "point_coords": points if len(points) else None,
            "point_labels": np.arange(len(points)) < len(prompt.positive) if len(points) else None,
            "box": prompt.box,
            "mask_input": None if prompt.mask is None else prompt.mask[None].numpy(),
            "return_logits": True,
        }
        for multimask, chosen in ((False, slice(0, 1)), (True, slice(1, 4))):
            masks, scores, small = predictor.predict(**arguments, multimask_output=multimask)
            np.testing.assert_allclose(logits[chosen], small, atol=1e-3)
            np.testing.assert_allclose(quality[chosen], scores, atol=1e-3)
            np.testing.assert_allclose(frame.unfit_maps(logits[chosen]), masks, atol=1e-3)
        alone, _ = sam.decode(embedding, [prompt], frame)
        torch.testing.assert_close(alone[0], logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_medsam_sees_the_whole_square_from_0_to_1():
    sam = Sam(stock_sam(), medsam=True)
    seen = []
    sam.encoder.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = (picture(40, 80) // 2 + 30).to(torch.uint8)
    embedding = sam.encoder.encode_alike(image[None])[0]
    assert seen[0].shape == (1, 3, SIZE, SIZE)
    assert (float(seen[0].min()), float(seen[0].max())) == (0.0, 1.0)
    frame = sam.frame(40, 80)
    assert frame.fit_points(np.array([[80.0, 40.0]])).tolist() == [[SIZE, SIZE]]
    logits, quality = sam.decode(embedding, [PROMPTS["a box"]], frame)
    assert logits.shape[:2] == quality.shape == (1, 1)
    assert frame.unfit_maps(logits[0]).shape == (1, 40, 80)


def test_a_lone_slice_is_embedded_once_and_kept(sam):
    calls = []
    handle = sam.encoder.network.register_forward_pre_hook(lambda *_: calls.append(1))
    cache, images = FeatureCache(), torch.stack([picture(40, 40, seed) for seed in range(3)])
    first = cache.encode(sam.encoder, images[:1])
    assert len(calls) == 1
    assert torch.equal(cache.encode(sam.encoder, images)[:1], first)
    assert len(calls) == 3
    handle.remove()
    assert sam.encoder.encoding_fingerprint() != Sam(stock_sam(1)).encoder.encoding_fingerprint()
    other = stock_sam()
    other.image_encoder.blocks[1].attn.rel_pos_h += 1
    assert sam.encoder.encoding_fingerprint() != Sam(other).encoder.encoding_fingerprint()
    assert sam.encoder.encoding_fingerprint() != Sam(stock_sam(), medsam=True).encoder.encoding_fingerprint()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt(positive=np.array([[64.0, 3.0]])), "column 64, row 3 lies outside the slice of 64 columns and 48 rows"),
        (Prompt(negative=np.array([[-1.0, 3.0]])), "column -1, row 3 lies outside"),
        (Prompt(box=np.array([0, 0, 63, 48])), "column 63, row 48 lies outside"),
        (Prompt(), "neither a box nor a point"),
    ],
)
def test_a_prompt_that_cannot_be(sam, prompt, message):
    with pytest.raises(InputError, match=message):
        sam.decode(torch.zeros(64, 10, 10), [prompt], sam.frame(48, 64))


@pytest.mark.parametrize("name", ["a point", "all"])
def test_medsam_takes_boxes_only(name):
    sam = Sam(stock_sam(), medsam=True)
    with pytest.raises(InputError, match=r"MedSAM got a prompt with \d points; it takes boxes only"):
        sam.decode(torch.zeros(64, 10, 10), [PROMPTS[name]], sam.frame(100, 100))


def test_checkpoints_that_do_not_fit(tmp_path, monkeypatch):
    monkeypatch.setitem(load_sam.__globals__["sam_model_registry"], "vit_b", stock_sam)
    path = tmp_path / "sam_vit_b_01ec64.pth"
    with pytest.raises(InputError, match=r"does not exist.*protoseg fetch sam_vit_b"):
        load_sam(path, "sam_vit_b")
    torch.save(stock_sam(5).state_dict(), path)
    for variant in ("sam_vit_b", "medsam_vit_b"):
        loaded = load_sam(path, variant, precision="float32")
        assert loaded.boxes_only == (variant == "medsam_vit_b")
        assert torch.equal(loaded.encoder.network.pos_embed, stock_sam(5).image_encoder.pos_embed)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"sam_vit_b_01ec64.pth .* cannot be read as a checkpoint: it is cut short"):
        load_sam(path, "sam_vit_b")
    with pytest.raises(InputError, match="The SAM variant is 'vit_b'; choose one of sam_vit_b"):
        load_sam(path, "vit_b")


def test_a_checkpoint_of_another_size(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save(stock_sam().state_dict(), path)
    with pytest.raises(InputError, match=r"sam\.pth does not fit sam_vit_b: .*48 wide, 3 blocks.*768 wide, 12 blocks"):
        load_sam(path, "sam_vit_b")
