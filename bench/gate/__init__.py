"""The gate's training and evaluation: material, calls, training, figures, rivals."""
