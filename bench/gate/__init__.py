"""The gate's training and judging: material, corpus, training, figures, rivals."""
