"""Every keyword of transformers' GLPN and its fate here; the source of docs/migration.md.

    python -m tests.parity.migration > docs/migration.md

`test_migration.py` calls each keyword, checks that no keyword of transformers is missing, and that
the page is up to date.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SAME, BETTER, MISSING = "same", "better", "missing"


class Row(NamedTuple):
    """One keyword: its fate, why, and a value to try it with (VALUE: none needed)."""

    keyword: str
    fate: str
    why: str = ""
    value: Any = None


LOADING = (
    Row("pretrained_model_name_or_path", BETTER, "also takes a bundled name"),
    Row("config", SAME),
    Row("state_dict", SAME),
    Row("cache_dir", SAME),
    Row("force_download", SAME, value=True),
    Row("local_files_only", SAME, value=True),
    Row("token", SAME, value=False),
    Row("revision", SAME, value="main"),
    Row("subfolder", SAME, value=""),
    Row("variant", SAME),
    Row("dtype", BETTER, "the model casts its input, so halves run; None widens halves", "float16"),
    Row("torch_dtype", BETTER, "the same as `dtype`", "bfloat16"),
    Row("device_map", SAME, "one device for the whole model", "cpu"),
    Row("ignore_mismatched_sizes", SAME, value=True),
    Row("output_loading_info", SAME, value=True),
    Row("attn_implementation", SAME, "`eager` and `sdpa`", "eager"),
    Row("use_safetensors", SAME, "False is rejected: pickles are never opened", True),
    Row("weights_only", SAME, "pickles are never opened", True),
    Row("trust_remote_code", BETTER, "accepted; code from a repository is never run", True),
    Row("low_cpu_mem_usage", SAME, value=True),
    Row("offload_buffers", SAME, "nothing is offloaded", True),
    Row("disable_mmap", SAME, value=True),
    Row("tqdm_class", SAME, "accepted, without effect", object),
    Row("proxies", MISSING, "set HTTPS_PROXY"),
    Row(
        "quantization_config", MISSING, "run `glpn export onnx --quantize int8 --calibrate PHOTOS`"
    ),
    Row("offload_folder", MISSING, "the network fits into memory"),
    Row("max_memory", MISSING, "the network fits on one device"),
    Row("tp_plan", MISSING, "the network fits on one device"),
    Row("tp_size", MISSING, "the network fits on one device"),
    Row("device_mesh", MISSING, "the network fits on one device"),
    Row("distributed_config", MISSING, "the network fits on one device"),
    Row("gguf_file", MISSING, "weights are safetensors"),
    Row("key_mapping", MISSING, "rename the tensors and give `state_dict`"),
    Row("adapter_kwargs", MISSING, "adapters are loaded by their own library"),
    Row("adapter_name", MISSING, "adapters are loaded by their own library"),
    Row("use_kernels", MISSING, "`glpn.load` has its own kernels"),
    Row("kernel_config", MISSING, "`glpn.load` has its own kernels"),
    Row("allow_all_kernels", MISSING, "code from a repository is never run"),
    Row("fusion_config", MISSING, "`glpn.load` has its own fused form"),
    Row("experts_implementation", MISSING, "the network has no experts"),
    Row("generation_config", MISSING, "the network generates no text"),
)
SAVING = (
    Row("save_directory", SAME),
    Row("is_main_process", SAME, value=True),
    Row("state_dict", SAME),
    Row("push_to_hub", SAME, value=False),
    Row("max_shard_size", SAME, "one file unless given", "1GB"),
    Row("safe_serialization", SAME, "False is rejected: pickles are not written", True),
    Row("variant", SAME),
    Row("token", SAME),
    Row("save_peft_format", SAME, "accepted, without effect", True),
    Row("save_original_format", SAME, "accepted, without effect", True),
    Row("distributed_checkpoint", MISSING, "the weights fit into one file"),
)
FORWARD = (
    Row("pixel_values", BETTER, "any size from 1×1, any floating type"),
    Row("labels", BETTER, "0, NaN and infinity are unknown; the loss is always finite"),
    Row("output_attentions", SAME, value=True),
    Row("output_hidden_states", SAME, value=True),
    Row("return_dict", SAME, value=False),
)
PROCESSOR = (
    Row("images", BETTER, "also paths, bytes and 16-bit images; EXIF orientation is honoured"),
    Row("do_resize", BETTER, "sides below the divisor become one multiple, not 0", False),
    Row("size_divisor", SAME, value=64),
    Row("resample", SAME, value=3),
    Row("do_rescale", BETTER, "float images in 0..1 are not rescaled twice", False),
    Row("rescale_factor", SAME, value=0.1),
    Row("do_normalize", SAME, value=True),
    Row("image_mean", SAME, value=[0.5, 0.5, 0.5]),
    Row("image_std", SAME, value=[0.5, 0.5, 0.5]),
    Row("do_convert_rgb", BETTER, "None converts too: the network needs three channels", True),
    Row("input_data_format", SAME, value="channels_last"),
    Row("data_format", BETTER, "`channels_last` is honoured; ignored there", "channels_first"),
    Row("device", SAME, value="cpu"),
    Row("return_tensors", SAME, "`pt`, `np` and None; always float32", "np"),
    Row("size", SAME, "without effect, as there", {"height": 32, "width": 32}),
    Row("default_to_square", SAME, "without effect, as there", True),
    Row("crop_size", SAME, "without effect, as there", 32),
    Row("do_center_crop", SAME, "without effect, as there", True),
    Row("do_pad", SAME, "without effect, as there", True),
    Row("pad_size", SAME, "without effect, as there", 32),
    Row("disable_grouping", SAME, "without effect", True),
    Row("image_seq_length", SAME, "without effect, as there", 1),
)
PIPELINE = (
    Row("task", SAME, value="depth-estimation"),
    Row("model", BETTER, "a name runs on the fastest engine, on at most a megapixel"),
    Row("config", SAME),
    Row("image_processor", SAME),
    Row("feature_extractor", SAME),
    Row("device", SAME, value=-1),
    Row("device_map", SAME, "one device for the whole model", "cpu"),
    Row("dtype", SAME, value="float32"),
    Row("torch_dtype", SAME, value="float32"),
    Row("model_kwargs", SAME, value={"attn_implementation": "eager"}),
    Row("revision", SAME, value="main"),
    Row("token", SAME, value=False),
    Row("use_fast", SAME, "without effect", True),
    Row("trust_remote_code", BETTER, "accepted; code from a repository is never run", True),
    Row("batch_size", SAME, "accepted; photos are predicted one at a time", 2),
    Row("num_workers", SAME, "accepted, without effect", 2),
    Row("framework", SAME, "`pt`", "pt"),
    Row("tokenizer", MISSING, "a depth estimator has none"),
    Row("processor", MISSING, "a depth estimator has none"),
    Row("video_processor", MISSING, "a depth estimator has none"),
    Row("pipeline_class", MISSING, "a depth estimator has none"),
)
SECTIONS = {
    "GLPNForDepthEstimation.from_pretrained": LOADING,
    "GLPNForDepthEstimation.save_pretrained": SAVING,
    "GLPNForDepthEstimation.forward": FORWARD,
    "GLPNImageProcessor": PROCESSOR,
    'pipeline("depth-estimation")': PIPELINE,
}

HEAD = """# From transformers

```bash
pip install -c constraints.txt '.[torch]'
```

Change the import:

```python
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, pipeline
```

A whole script:

```python
import torch
from PIL import Image

from glpn import GLPNForDepthEstimation, GLPNImageProcessor

name = "glpn-b0-indoor"  # a bundled model; or a hub id such as "vinvino02/glpn-nyu", or a folder
processor = GLPNImageProcessor.from_pretrained(name)
model = GLPNForDepthEstimation.from_pretrained(name)

photo = Image.open("photo.jpg")
inputs = processor(images=photo, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
size = [(photo.height, photo.width)]
depth = processor.post_process_depth_estimation(outputs, target_sizes=size)[0]["predicted_depth"]
```

Or in one line: `pipeline("depth-estimation", model=name)("photo.jpg")["predicted_depth"]`. This
converts the metres to the photo's camera if EXIF names its focal length, as `glpn.load` does. The
script gives the metres of the camera that the model was trained for, as transformers does.

For the auto classes, import the class under that name:
`from glpn import GLPNForDepthEstimation as AutoModelForDepthEstimation`.

The numbers are the same to the last bit on the same weights and pixels. A keyword that is missing
raises an error that names it. `tests/parity/migration.py` holds these tables; a test calls
every keyword.

## What differs on purpose

- Photos: EXIF orientation is honoured, alpha is dropped, a size below the divisor works. A float
  image in 0..1 is not rescaled a second time; without `do_rescale` it stays in 0..1. Floats in
  0..255 are rejected. Where both ends of an array could be channels, a numpy array is read channels
  last and a tensor channels first; `input_data_format` decides otherwise.
- Depth: resizing to the photo's size never leaves the range of the network's own depth.
- Loss: finite at a perfect prediction, without valid pixels, and with infinite labels.
- Configuration: an assignment is validated. Fields that depend on each other are set together with
  `config.update({...})`. An unknown key that is close to a known one is an error.
- Weights: float16 and bfloat16 files are widened to float32 unless `dtype` is given. `config.json`
  states float32, so that transformers opens the folder with its defaults.
- Parameters have shorter names in memory. Files carry the names of transformers, and
  `load_state_dict` takes both.
- The bundled models scale a photo to the size of their training (`short_side`). transformers' GLPN
  processor cannot, but its DPT processor can, and folders with a `short_side` name that one:
  `AutoImageProcessor` and `pipeline` scale as glpn does, and the metres of photos of 480 by 640
  pixels differ by less than 1 % on average (0.0001 % on six frames of NYU). Other shapes are
  rounded to the nearest multiple of 32 pixels there, and down here. transformers'
  `GLPNImageProcessor`, opened by its own name, ignores the scale.
- `Trainer` trains our model. The GLPN of transformers 5.23 fails at the first step: its loss ends
  in a square root, whose backward pass needs the result, and `Trainer` divides it in place.
- `Trainer` saves `model.safetensors` without `config.json` for classes that are not its own: call
  `trainer.model.save_pretrained(folder)` at the end.

## The published weights

`glpn verify vinvino02/glpn-nyu 000000039769.jpg` compares a checkpoint with the values known for
that COCO photo. `glpn convert` reads the authors' files, pickled folders, and files of Lightning
or of a training loop (`state_dict`, `model_state_dict`).

## Common tests

`python benchmarks/transformers_surface.py` applies the common tests of transformers to both sets of
classes. These pass there and not here:

| test | reason |
|---|---|
"""

# Tests of transformers' common suites that fail here, and why.
FAILING = {
    "test_gradient_checkpointing_enable_disable": "asks for instances of transformers' own layer "
    "class; checkpointing works, and other tests show it",
    "test_model_weights_reload_no_missing_tied_weights": "stores an integer tensor as "
    "weights, which is rejected as damage",
}


def page() -> str:
    """The text of docs/migration.md."""
    lines = [HEAD.rstrip("\n")]
    lines += [f"| `{name}` | {why} |" for name, why in FAILING.items()]
    for section, rows in SECTIONS.items():
        lines += ["", f"## `{section}`", "", "| keyword | here | |", "|---|---|---|"]
        lines += [f"| `{row.keyword}` | {row.fate} | {row.why} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
