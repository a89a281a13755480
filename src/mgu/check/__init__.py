"""`mgu check`: what a file is, what of it has no effect here, and why."""
