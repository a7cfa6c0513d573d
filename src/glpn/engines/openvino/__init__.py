"""OpenVINO: its engine, how it reads the graphs, and what it compiles of them."""
