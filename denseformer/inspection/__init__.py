"""Looking at data and runs: the dataset doctor, contact sheets of samples, curves from logs."""
