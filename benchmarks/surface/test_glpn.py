"""The common tests of transformers, applied to one pair of GLPN classes.

`benchmarks/transformers_surface.py` copies this file into the test tree of transformers' source
distribution and runs it twice: with transformers' classes and with glpn's. The environment
variable GLPN_CLASSES chooses. Only the imports differ.
"""

import os
import unittest

import numpy as np
import torch
from PIL import Image
from transformers.testing_utils import torch_device

from ...test_configuration_common import ConfigTester
from ...test_image_processing_common import (
    ImageProcessingTester,
    ImageProcessingTestMixin,
    prepare_image_inputs,
)
from ...test_modeling_common import ModelTesterMixin, floats_tensor
from ...test_pipeline_mixin import PipelineTesterMixin
from ...test_training_mixin import TrainingTesterMixin

if os.environ["GLPN_CLASSES"] == "glpn":
    from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, GLPNModel, pipeline
else:
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNModel, pipeline
    from transformers.models.glpn.image_processing_pil_glpn import (
        GLPNImageProcessorPil as GLPNImageProcessor,
    )


class GLPNConfigTester(ConfigTester):
    """The fields of a hierarchical encoder, which has no single hidden size."""

    def create_and_test_config_common_properties(self):
        config = self.config_class(**self.inputs_dict)
        for name in ("hidden_sizes", "num_attention_heads", "num_encoder_blocks"):
            self.parent.assertTrue(hasattr(config, name), name)


class GLPNModelTester:
    """A network small enough for hundreds of tests, and a batch for it."""

    is_training = False

    def __init__(self, parent, batch_size=13, image_size=64):
        self.parent = parent
        self.batch_size = batch_size
        self.image_size = image_size

    def get_config(self):
        return GLPNConfig(
            num_channels=3,
            depths=[1, 1, 1, 1],
            sr_ratios=[8, 4, 2, 1],
            hidden_sizes=[16, 32, 64, 128],
            num_attention_heads=[1, 1, 2, 2],
            hidden_act="gelu",
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.1,
            decoder_hidden_size=16,
        )

    def prepare_config_and_inputs_for_common(self):
        pixels = floats_tensor([self.batch_size, 3, self.image_size, self.image_size])
        return self.get_config(), {"pixel_values": pixels}

    def prepare_labels(self):
        return floats_tensor([self.batch_size, self.image_size, self.image_size]) + 0.1


class GLPNModelTest(ModelTesterMixin, PipelineTesterMixin, TrainingTesterMixin, unittest.TestCase):
    """Modelling and configuration."""

    all_model_classes = (GLPNModel, GLPNForDepthEstimation)
    pipeline_model_mapping = {
        "depth-estimation": GLPNForDepthEstimation,
        "image-feature-extraction": GLPNModel,
    }
    test_resize_embeddings = False

    def setUp(self):
        self.model_tester = GLPNModelTester(self)
        self.config_tester = GLPNConfigTester(self, config_class=GLPNConfig)

    def test_config(self):
        self.config_tester.run_common_tests()

    def _common(self):
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        return config, {name: value.to(torch_device) for name, value in inputs.items()}

    def test_model(self):
        config, inputs = self._common()
        output = GLPNModel(config).to(torch_device).eval()(**inputs)
        self.assertEqual(tuple(output.last_hidden_state.shape), (13, 128, 2, 2))

    def test_for_depth_estimation(self):
        config, inputs = self._common()
        model = GLPNForDepthEstimation(config).to(torch_device).eval()
        self.assertEqual(tuple(model(**inputs).predicted_depth.shape), (13, 64, 64))
        labels = self.model_tester.prepare_labels().to(torch_device)
        output = model(**inputs, labels=labels)
        self.assertEqual(tuple(output.predicted_depth.shape), (13, 64, 64))
        self.assertGreater(output.loss.item(), 0)

    @unittest.skip("GLPN takes pixels, not embeddings")
    def test_inputs_embeds(self):
        pass

    @unittest.skip("GLPN has no token embeddings")
    def test_model_get_set_embeddings(self):
        pass

    def test_attention_outputs(self):
        config, inputs = self._common()
        config._attn_implementation = "eager"
        for model_class in self.all_model_classes:
            model = model_class(config).to(torch_device).eval()
            attentions = model(**inputs, output_attentions=True).attentions
            self.assertEqual(len(attentions), sum(config.depths))
            first, last = attentions[0], attentions[-1]
            self.assertEqual(tuple(first.shape[-3:]), (1, 16 * 16, 2 * 2))
            self.assertEqual(tuple(last.shape[-3:]), (2, 2 * 2, 2 * 2))
            config.output_attentions = True
            again = model_class(config).to(torch_device).eval()(**inputs)
            self.assertEqual(len(again.attentions), sum(config.depths))
            config.output_attentions = False

    def test_hidden_states_output(self):
        config, inputs = self._common()
        for model_class in self.all_model_classes:
            model = model_class(config).to(torch_device).eval()
            states = model(**inputs, output_hidden_states=True).hidden_states
            self.assertEqual(len(states), config.num_encoder_blocks)
            self.assertEqual(tuple(states[0].shape[-3:]), (16, 16, 16))
            config.output_hidden_states = True
            states = model_class(config).to(torch_device).eval()(**inputs).hidden_states
            self.assertEqual(len(states), config.num_encoder_blocks)
            config.output_hidden_states = False

    def test_training(self):
        config, inputs = self._common()
        config.return_dict = True
        model = GLPNForDepthEstimation(config).to(torch_device).train()
        labels = self.model_tester.prepare_labels().to(torch_device)
        model(**inputs, labels=labels).loss.backward()


class GLPNImageProcessingTester(ImageProcessingTester):
    """The processor's options, as the common tests read them."""

    def __init__(self, parent, **kwargs):
        kwargs.setdefault("do_resize", True)
        kwargs.setdefault("size_divisor", 32)
        kwargs.setdefault("do_rescale", True)
        super().__init__(parent, **kwargs)

    def _get_image_processing_classes(self):
        return {"pil": GLPNImageProcessor}

    def prepare_image_inputs(self, **kwargs):
        return super().prepare_image_inputs(**{"size_divisor": 32, **kwargs})

    def expected_output_image_shape(self, images):
        image = images[0]
        if isinstance(image, Image.Image):
            width, height = image.size
        else:
            last = isinstance(image, np.ndarray) and image.shape[-1] in (1, 3, 4)
            height, width = image.shape[:2] if last else image.shape[1:]
        return self.num_channels, height // 32 * 32, width // 32 * 32


class GLPNImageProcessingTest(ImageProcessingTestMixin, unittest.TestCase):
    """The image processor."""

    image_processor_tester_class = GLPNImageProcessingTester

    def _require_shape(self, inputs):
        for image_processor_class in self.image_processing_classes.values():
            processor = image_processor_class(**self.image_processor_dict)
            # Photos of different sizes cannot be stacked: GLPN resizes each to its own size.
            pixels = processor(inputs[0], return_tensors="pt").pixel_values
            expected = self.image_processor_tester.expected_output_image_shape([inputs[0]])
            self.assertEqual(tuple(pixels.shape), (1, *expected))

    def test_call_pil(self):
        self._require_shape(self.image_processor_tester.prepare_image_inputs())

    def test_call_numpy(self):
        self._require_shape(self.image_processor_tester.prepare_image_inputs(numpify=True))

    def test_call_pytorch(self):
        self._require_shape(self.image_processor_tester.prepare_image_inputs(torchify=True))

    def test_call_numpy_4_channels(self):
        inputs = prepare_image_inputs(
            batch_size=2, min_resolution=40, max_resolution=80, num_channels=4, numpify=True
        )
        for image_processor_class in self.image_processing_classes.values():
            processor = image_processor_class(**self.image_processor_dict)
            pixels = processor(
                inputs[0],
                do_convert_rgb=False,
                return_tensors="pt",
                input_data_format="channels_last",
                image_mean=[0.0, 0.0, 0.0, 0.0],
                image_std=[1.0, 1.0, 1.0, 1.0],
            ).pixel_values
            height, width = inputs[0].shape[:2]
            self.assertEqual(tuple(pixels.shape), (1, 4, height // 32 * 32, width // 32 * 32))


class GLPNPipelineTest(unittest.TestCase):
    """The depth-estimation pipeline over model and processor objects."""

    def setUp(self):
        config = GLPNModelTester(self).get_config()
        self.pipe = pipeline(
            "depth-estimation",
            model=GLPNForDepthEstimation(config).eval(),
            image_processor=GLPNImageProcessor(),
        )
        levels = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
        self.photo = Image.fromarray(levels)

    def _require_result(self, result, size=(70, 100)):
        self.assertEqual(set(result), {"predicted_depth", "depth"})
        self.assertIsInstance(result["predicted_depth"], torch.Tensor)
        self.assertEqual(tuple(result["predicted_depth"].shape[-2:]), size)
        self.assertEqual(result["depth"].size, size[::-1])

    def test_pipeline_photo(self):
        self._require_result(self.pipe(self.photo))

    def test_pipeline_list_and_modes(self):
        photos = [self.photo, self.photo.convert("L"), self.photo.convert("RGBA")]
        results = self.pipe(photos)
        self.assertEqual(len(results), 3)
        for result in results:
            self._require_result(result)

    def test_pipeline_batches_of_one_size(self):
        for batch_size in (1, 2):
            self.assertEqual(len(self.pipe([self.photo] * 3, batch_size=batch_size)), 3)

    def test_pipeline_generator(self):
        results = list(self.pipe(photo for photo in [self.photo] * 2))
        self.assertEqual(len(results), 2)

    def test_pipeline_dataset(self):
        from transformers.pipelines.pt_utils import KeyDataset

        rows = [{"image": self.photo, "name": "a"}, {"image": self.photo, "name": "b"}]
        for result in self.pipe(KeyDataset(rows, "image")):
            self._require_result(result)

    def test_pipeline_attributes(self):
        self.assertEqual(self.pipe.model.config.model_type, "glpn")
        self.assertEqual(self.pipe.image_processor.size_divisor, 32)
        self.assertEqual(self.pipe.device.type, torch_device)
        self.assertEqual(self.pipe.task, "depth-estimation")
