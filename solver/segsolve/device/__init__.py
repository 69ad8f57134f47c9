"""What is known about a device, as data, and the formulas that turn it into bytes and nanoseconds."""
