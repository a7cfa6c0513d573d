"""The models inside the tools of the Hugging Face ecosystem, which know nothing of glpn."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

import glpn
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, GLPNModel
from glpn.errors import CheckpointError, ConfigError, GLPNError, UsageError
from glpn.network.config import ACTIVATIONS
from glpn.network.loading import REFUSED, WITHOUT_EFFECT
from tests.networks import photograph, randomise, twins

TINY = {"hidden_sizes": (8, 16, 40, 64), "depths": (1, 1, 1, 1), "decoder_hidden_size": 16}


def tiny(**fields: object) -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    model = GLPNForDepthEstimation(GLPNConfig(**{**TINY, **fields}))
    randomise(model)
    return model.eval()


def depth(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(photograph(64, 96)).predicted_depth


class Frames(Dataset[Any]):
    """Eight frames, each with a plane as its depth."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": photograph(32, 64, seed=i)[0],
            "labels": torch.full((32, 64), 2.0 + i % 3),
        }


# --- training ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_steps_of_the_trainer_with_evaluation_and_checkpoints(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=10,
        per_device_train_batch_size=2,
        learning_rate=1e-3,
        eval_strategy="steps",
        eval_steps=5,
        save_steps=5,
        load_best_model_at_end=True,
        report_to=[],
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = Trainer(tiny(), arguments, train_dataset=Frames(), eval_dataset=Frames())
    before = trainer.evaluate()["eval_loss"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainer's own
        trainer.train()
    assert trainer.state.global_step == 10
    assert trainer.evaluate()["eval_loss"] < before
    prediction = trainer.predict(Frames())
    assert prediction.predictions.shape == (8, 32, 64)
    trainer.model.save_pretrained(tmp_path / "best")
    again = GLPNForDepthEstimation.from_pretrained(tmp_path / "best")
    assert torch.equal(depth(again), depth(trainer.model.eval()))


@pytest.mark.slow
def test_an_accelerate_loop_learns(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = tiny().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = torch.utils.data.DataLoader(Frames(), batch_size=4)
    model, optimiser, batches = accelerator.prepare(model, optimiser, batches)
    losses = []
    for _ in range(5):
        for batch in batches:
            loss = model(**batch).loss
            accelerator.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    unwrapped = accelerator.unwrap_model(model)
    unwrapped.save_pretrained(tmp_path, is_main_process=accelerator.is_main_process)
    assert GLPNForDepthEstimation.from_pretrained(tmp_path).config.decoder_hidden_size == 16


# --- tracing, copying, pickling ------------------------------------------------------------------


@pytest.mark.slow
def test_a_trace_gives_the_same_depth_at_its_size() -> None:
    model, pixels = tiny(), photograph(64, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.simplefilter("ignore", DeprecationWarning)
        named = torch.jit.trace(model, pixels, strict=False)
        model.config.return_dict = False
        plain = torch.jit.trace(model, pixels)
    assert torch.equal(named(pixels)["predicted_depth"], model(pixels)[0])
    assert torch.equal(plain(pixels)[0], model(pixels)[0])


@pytest.mark.slow
def test_models_can_be_pickled_copied_and_compiled() -> None:
    model = tiny()
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(depth(again), depth(model))
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(depth(compiled), depth(model))


# --- outputs -------------------------------------------------------------------------------------


def test_outputs_are_dictionaries_with_attributes_and_positions() -> None:
    output: Any = tiny()(photograph(32, 64), output_hidden_states=True)
    assert issubclass(type(output), dict)
    assert list(output) == list(output.keys()) == ["predicted_depth", "hidden_states"]
    assert output[0] is output["predicted_depth"] is output.predicted_depth
    assert output.get("loss") is None and output.loss is None
    assert [value for _, value in output.items()] == list(output.to_tuple())
    output["target_size"] = (32, 64)
    output.predicted_depth = output.predicted_depth * 2
    assert output["predicted_depth"] is output.predicted_depth
    again = type(output)({"predicted_depth": 1, "loss": 2})
    assert (again.loss, again["predicted_depth"]) == (2, 1)
    assert pickle.loads(pickle.dumps(again)) == again
    with pytest.raises(UsageError, match="not removed"):
        output.pop("predicted_depth")


# --- names and files -----------------------------------------------------------------------------


def test_a_model_is_built_from_the_configuration_of_transformers() -> None:
    reference, ours = twins("b0", decoder_hidden_size=16, max_depth=80)
    built = GLPNForDepthEstimation(reference.config).eval()
    built.load_state_dict(reference.state_dict())
    assert torch.equal(depth(built), depth(ours))
    assert built.config.max_depth == 80
    with pytest.raises(UsageError, match="expected a GLPNConfig, got dict"):
        GLPNForDepthEstimation({})


def test_load_state_dict_takes_names_of_transformers_from_a_model_or_a_file(tmp_path: Path) -> None:
    reference, ours = twins("b0", decoder_hidden_size=16)
    torch.save(reference.state_dict(), tmp_path / "mine.pt")
    model = GLPNForDepthEstimation(ours.config).eval()
    assert not any(model.load_state_dict(torch.load(tmp_path / "mine.pt", weights_only=True)))
    assert torch.equal(depth(model), depth(ours))
    encoder = GLPNModel(ours.config).eval()
    encoder.load_state_dict(reference.glpn.state_dict())
    pixels = photograph(64, 96)
    assert torch.equal(encoder(pixels)[0], ours.glpn(pixels)[0])


def test_an_encoder_loads_with_a_new_head_and_a_warning(tmp_path: Path) -> None:
    tiny().glpn.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="decoder and head: 58 tensors are newly initialised"):
        model = GLPNForDepthEstimation.from_pretrained(tmp_path)
    assert torch.equal(model.glpn(photograph(32, 32))[0], tiny().glpn(photograph(32, 32))[0])
    with pytest.raises(CheckpointError, match="58 missing"):
        GLPNForDepthEstimation.from_pretrained(tmp_path, allow_new_head=False)
    _, info = GLPNForDepthEstimation.from_pretrained(tmp_path, output_loading_info=True)
    assert len(info["missing_keys"]) == 58 and not info["unexpected_keys"]


def test_tensors_of_another_shape_are_an_error_unless_allowed(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    other = {"decoder_hidden_size": 32}
    with pytest.raises(CheckpointError, match="wrong shape"):
        GLPNForDepthEstimation.from_pretrained(tmp_path, **other)
    with pytest.warns(UserWarning, match="newly initialised"):
        model = GLPNForDepthEstimation.from_pretrained(
            tmp_path, ignore_mismatched_sizes=True, **other
        )
    assert model.config.decoder_hidden_size == 32
    _, info = GLPNForDepthEstimation.from_pretrained(
        tmp_path, ignore_mismatched_sizes=True, output_loading_info=True, **other
    )
    assert info["mismatched_keys"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", torch.float16, "torch.bfloat16"])
def test_half_precision_runs_at_the_first_call(tmp_path: Path, dtype: object) -> None:
    model = tiny()
    model.save_pretrained(tmp_path)
    for keyword in ("dtype", "torch_dtype"):
        half = GLPNForDepthEstimation.from_pretrained(tmp_path, **{keyword: dtype})
        assert half.dtype == half.config.dtype != torch.float32
        assert (depth(half).float() - depth(model)).abs().mean() < 0.1


def test_shards_and_variants_are_written_and_read(tmp_path: Path) -> None:
    model = tiny()
    model.save_pretrained(tmp_path / "whole", variant="fp16")
    assert (tmp_path / "whole" / "model.fp16.safetensors").is_file()
    loaded = GLPNForDepthEstimation.from_pretrained(tmp_path, subfolder="whole", variant="fp16")
    assert torch.equal(depth(loaded), depth(model))
    model.save_pretrained(tmp_path / "parts", max_shard_size="200KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    assert torch.equal(
        depth(GLPNForDepthEstimation.from_pretrained(tmp_path / "parts")), depth(model)
    )
    state = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path / "parts", state_dict=state)
    again = GLPNForDepthEstimation.from_pretrained(tmp_path / "parts")
    assert torch.equal(again.head.conv2.bias, model.head.conv2.bias + 1)


def test_every_keyword_works_or_is_refused_by_its_name(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    load = GLPNForDepthEstimation.from_pretrained
    for keyword in WITHOUT_EFFECT:
        load(tmp_path, **{keyword: True})
    for keyword in (*REFUSED, "use_safetensors", "max_dept"):
        with pytest.raises(UsageError, match=keyword):
            load(tmp_path, **{keyword: False if keyword == "use_safetensors" else "x"})
    assert load(pretrained_model_name_or_path=tmp_path, device_map="auto").device.type in "cpucuda"
    assert load(tmp_path, attn_implementation="eager").config._attn_implementation == "eager"
    assert load(tmp_path, max_depth=80, output_attentions=True).config.output_attentions is True
    for options in (
        {"attn_implementation": "flash"},
        {"dtype": "int8"},
        {"device_map": {"a": 0, "b": 1}},
    ):
        with pytest.raises(GLPNError, match=next(iter(options))):
            load(tmp_path, **options)
    with pytest.raises(UsageError, match="safe_serialization"):
        tiny().save_pretrained(tmp_path, safe_serialization=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_the_numbers_of_transformers(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference, ours = twins("b0", decoder_hidden_size=16, hidden_act=name)
    assert (depth(ours) - depth(reference)).abs().max() <= 1e-5
    ours.save_pretrained(tmp_path)
    assert torch.equal(depth(GLPNForDepthEstimation.from_pretrained(tmp_path)), depth(ours))


@pytest.mark.slow
def test_attributes_and_helpers_have_the_values_of_transformers() -> None:
    reference, ours = twins("b0")
    for name in ("base_model_prefix", "main_input_name", "dtype", "device", "framework"):
        if hasattr(reference, name):
            assert getattr(ours, name) == getattr(reference, name), name
    assert ours.base_model is ours.glpn and ours.glpn.base_model is ours.glpn
    assert ours.num_parameters() == reference.num_parameters()
    assert ours.get_memory_footprint() == reference.get_memory_footprint()
    assert ours.can_generate() is False and GLPNModel.config_class is GLPNConfig
    ours.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    assert ours.is_gradient_checkpointing
    ours.gradient_checkpointing_disable()
    assert not ours.is_gradient_checkpointing


def test_the_configuration_of_a_loaded_model_acts_on_its_metres() -> None:
    model = tiny()
    metres = depth(model)
    model.config.max_depth = 20
    torch.testing.assert_close(depth(model), 2 * metres)
    with pytest.raises(ConfigError, match="max_depth"):
        model.config.max_depth = 0


# --- the way back --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_we_save_opens_in_transformers_with_its_defaults(tmp_path: Path, dtype: Any) -> None:
    import transformers

    model = tiny().to(dtype)
    model.save_pretrained(tmp_path)
    GLPNImageProcessor().save_pretrained(tmp_path)
    theirs = transformers.AutoModelForDepthEstimation.from_pretrained(tmp_path)
    assert (depth(theirs) - depth(model.float())).abs().max() <= 1e-5
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    levels = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    pixels = processor(levels, return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(pixels, GLPNImageProcessor()(levels, "np").pixel_values)


@pytest.mark.parametrize("name", ["glpn-b0-indoor", "glpn-b0-rooms"])
def test_bundled_models_open_in_transformers_with_its_defaults(name: str) -> None:
    import transformers

    from glpn.weights import bundled

    theirs = transformers.AutoModelForDepthEstimation.from_pretrained(bundled()[name])
    ours = GLPNForDepthEstimation.from_pretrained(name)
    assert theirs.dtype == torch.float32
    assert (depth(theirs) - depth(ours)).abs().max() <= 1e-4


@pytest.mark.slow
def test_the_pipeline_of_transformers_runs_our_model_and_processor() -> None:
    import transformers

    levels = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    photo = Image.fromarray(levels)
    model, processor = tiny(), GLPNImageProcessor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.pipeline(  # type: ignore[call-overload]
            "depth-estimation", model=model, image_processor=processor, device=-1
        )
    expected = glpn.pipeline(model=model, image_processor=processor)(photo)
    result = theirs(photo)
    assert torch.equal(result["predicted_depth"], expected["predicted_depth"])
