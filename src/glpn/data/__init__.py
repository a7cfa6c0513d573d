"""Datasets: layouts, depth files, the dataset check, augmentation."""
