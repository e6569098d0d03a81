"""Makes multimodal training pairs and hard negatives from images; its transforms also define the benchmark's tasks."""
