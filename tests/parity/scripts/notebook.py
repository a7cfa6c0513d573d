"""In the style of a demo notebook: the feature extractor, an interpolation by hand, a batch."""

import numpy as np
import torch
from PIL import Image
from transformers import GLPNFeatureExtractor, GLPNForDepthEstimation

image = Image.open(PHOTO).convert("RGB")  # noqa: F821
feature_extractor = GLPNFeatureExtractor.from_pretrained(MODEL)  # noqa: F821
model = GLPNForDepthEstimation.from_pretrained(MODEL)  # noqa: F821
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model.to(device)

pixel_values = feature_extractor(image, return_tensors="pt").pixel_values
with torch.no_grad():
    outputs = model(pixel_values.to(device))
    predicted_depth = outputs.predicted_depth

prediction = torch.nn.functional.interpolate(
    predicted_depth.unsqueeze(1), size=image.size[::-1], mode="bicubic", align_corners=False
)
output = prediction.squeeze().cpu().numpy()
formatted = (output * 255 / np.max(output)).clip(0, 255).astype("uint8")
picture = Image.fromarray(formatted)

both = feature_extractor([image, image], return_tensors="pt")
assert tuple(model(**both.to(device)).predicted_depth.shape) == (2, *predicted_depth.shape[1:])
RESULT = prediction.squeeze()
