"""The one reader of .tflite files: operations, tensors, and where an execution order may be cut."""
