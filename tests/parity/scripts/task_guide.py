"""In the style of a task guide: first the pipeline, then the same by hand with auto classes."""

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForDepthEstimation, pipeline

image = Image.open(PHOTO)  # noqa: F821
depth_estimator = pipeline("depth-estimation", model=MODEL, device="cpu")  # noqa: F821
predictions = depth_estimator(image)
assert predictions["depth"].size == image.size

image_processor = AutoImageProcessor.from_pretrained(MODEL)  # noqa: F821
model = AutoModelForDepthEstimation.from_pretrained(MODEL).to("cpu")  # noqa: F821
pixel_values = image_processor(image, return_tensors="pt").pixel_values.to("cpu")
with torch.no_grad():
    outputs = model(pixel_values)

post_processed_output = image_processor.post_process_depth_estimation(
    outputs, target_sizes=[(image.height, image.width)]
)
predicted_depth = post_processed_output[0]["predicted_depth"]
depth = (predicted_depth - predicted_depth.min()) / (predicted_depth.max() - predicted_depth.min())
picture = Image.fromarray((depth.detach().cpu().numpy() * 255).astype("uint8"))
RESULT = predicted_depth
