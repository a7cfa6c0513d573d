"""Processing: scale a photo to the network's input, and depth to the photo's size."""
