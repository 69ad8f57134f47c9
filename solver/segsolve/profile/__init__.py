"""Where costs come from: a device model today, measurements as well later, behind one protocol."""
