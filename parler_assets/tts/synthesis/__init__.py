"""A loaded checkpoint that speaks, and the samples it is judged by."""
