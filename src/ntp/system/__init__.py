"""What asks the operating system without an event loop."""
