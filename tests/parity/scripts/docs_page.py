"""In the style of a model's page: processor, model, depth at the photo's size, an 8-bit picture."""

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, GLPNForDepthEstimation

image = Image.open(PHOTO)  # noqa: F821
image_processor = AutoImageProcessor.from_pretrained(MODEL)  # noqa: F821
model = GLPNForDepthEstimation.from_pretrained(MODEL)  # noqa: F821

inputs = image_processor(images=image, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)

post_processed = image_processor.post_process_depth_estimation(
    outputs, target_sizes=[(image.height, image.width)]
)
predicted_depth = post_processed[0]["predicted_depth"]
depth = predicted_depth * 255 / predicted_depth.max()
picture = Image.fromarray(depth.detach().cpu().numpy().astype(np.uint8))
RESULT = predicted_depth
