"""ONNX graphs written anew as programs of layers, without running anything that a file says."""
