"""OpenVINO: the engine, the reader of the graphs, and the compiled models."""
