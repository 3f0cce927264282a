"""What leaves: model YAML, weights, ONNX, and the card beside them; a study in its reader's tracker."""
