"""Network: GLPN in torch, its configuration, its loss and its form for inference."""
