"""What goes into a pipeline and what comes out of it, as files: images, arrays and raw bytes; npz and JSON lines."""
