"""The data room: dataset layouts, depth files, the dataset doctor, augmentation."""
