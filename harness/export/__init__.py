"""What leaves: model YAML, weights, ONNX, and the card beside them."""
