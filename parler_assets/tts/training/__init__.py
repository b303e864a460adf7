"""Fine-tuning in processes of its own: planned, resumable, on one loop for one process or several."""
