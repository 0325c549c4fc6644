"""A queue of jobs on a file system: each is done once, whatever is killed, on one machine or a cluster."""
