"""Looking at data, runs and files: the dataset doctor, contact sheets, curves from logs, what a checkpoint holds."""
